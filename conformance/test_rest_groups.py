"""Thing groups by boto3: hierarchy, members, versions."""

from conformance.aws import AccountTest


class Groups(AccountTest):
    def test_a_group_is_made_described_changed_and_deleted(self):
        name = self.name()
        properties = {"thingGroupDescription": "meters", "attributePayload": {"attributes": {"a": "1"}}}
        made = self.iot.create_thing_group(thingGroupName=name, thingGroupProperties=properties)
        again = self.iot.create_thing_group(thingGroupName=name, thingGroupProperties=properties)
        self.assertEqual(made["thingGroupId"], again["thingGroupId"])
        self.refused("ResourceAlreadyExistsException", self.iot.create_thing_group, thingGroupName=name)
        read = self.iot.describe_thing_group(thingGroupName=name)
        self.assertEqual((read["version"], read["thingGroupProperties"]), (1, properties))
        version = self.iot.update_thing_group(thingGroupName=name, thingGroupProperties={"thingGroupDescription": "x"},
                                              expectedVersion=1)["version"]
        self.assertEqual(version, 2)
        self.refused("VersionConflictException", self.iot.update_thing_group, thingGroupName=name,
                     thingGroupProperties={}, expectedVersion=1)
        self.refused("VersionConflictException", self.iot.delete_thing_group, thingGroupName=name, expectedVersion=1)
        self.iot.delete_thing_group(thingGroupName=name)
        self.refused("ResourceNotFoundException", self.iot.describe_thing_group, thingGroupName=name)
        self.iot.delete_thing_group(thingGroupName=name)

    def test_a_parent_stays_while_it_has_children(self):
        name = self.name()
        for child, parent in [("a", None), ("b", "a"), ("c", "b")]:
            parents = {"parentGroupName": name + parent} if parent else {}
            self.iot.create_thing_group(thingGroupName=name + child, **parents)
        described = self.iot.describe_thing_group(thingGroupName=name + "c")["thingGroupMetadata"]
        self.assertEqual(described["parentGroupName"], name + "b")
        self.assertEqual([group["groupName"] for group in described["rootToParentThingGroups"]], [name + "a", name + "b"])
        direct = self.iot.list_thing_groups(parentGroup=name + "a", recursive=False)["thingGroups"]
        self.assertEqual([group["groupName"] for group in direct], [name + "b"])
        every = self.iot.list_thing_groups(parentGroup=name + "a", recursive=True)["thingGroups"]
        self.assertEqual({group["groupName"] for group in every}, {name + "b", name + "c"})
        self.refused("InvalidRequestException", self.iot.delete_thing_group, thingGroupName=name + "a")
        for child in "cba":
            self.iot.delete_thing_group(thingGroupName=name + child)

    def test_members_come_and_go_and_are_listed_both_ways(self):
        group, things = self.name(), [self.name(f"_{number}") for number in range(5)]
        self.iot.create_thing_group(thingGroupName=group)
        for thing in things:
            self.iot.create_thing(thingName=thing)
            self.iot.add_thing_to_thing_group(thingGroupName=group, thingName=thing)
        pages, members = self.pages(self.iot, "list_things_in_thing_group", "things", 2, thingGroupName=group)
        self.assertEqual((pages, sorted(members)), (3, things))
        groups = self.iot.list_thing_groups_for_thing(thingName=things[0])["thingGroups"]
        self.assertEqual([found["groupName"] for found in groups], [group])
        self.iot.remove_thing_from_thing_group(thingGroupName=group, thingName=things[0])
        self.iot.delete_thing(thingName=things[1])
        self.assertEqual(sorted(self.iot.list_things_in_thing_group(thingGroupName=group)["things"]), things[2:])
        # Members do not keep a group.
        self.iot.delete_thing_group(thingGroupName=group)
        self.assertEqual(self.iot.list_thing_groups_for_thing(thingName=things[2])["thingGroups"], [])

    def test_a_things_groups_are_changed_at_once(self):
        thing, groups = self.name(), [self.name(f"_{number}") for number in range(3)]
        self.iot.create_thing(thingName=thing)
        for group in groups:
            self.iot.create_thing_group(thingGroupName=group)
        self.iot.update_thing_groups_for_thing(thingName=thing, thingGroupsToAdd=groups[:2])
        self.iot.update_thing_groups_for_thing(thingName=thing, thingGroupsToAdd=groups[2:], thingGroupsToRemove=groups[:1])
        pages, found = self.pages(self.iot, "list_thing_groups_for_thing", "thingGroups", 1, thingName=thing)
        self.assertEqual((pages, sorted(group["groupName"] for group in found)), (2, groups[1:]))
        for call, arguments in [
            (self.iot.update_thing_groups_for_thing, {"thingGroupsToAdd": ["none"]}),
            (self.iot.add_thing_to_thing_group, {"thingGroupName": "none"}),
            (self.iot.remove_thing_from_thing_group, {"thingGroupName": "none"}),
        ]:
            self.refused("ResourceNotFoundException", call, thingName=thing, **arguments)

    def test_members_of_children_are_listed_when_asked_for(self):
        name = self.name()
        self.iot.create_thing_group(thingGroupName=name)
        self.iot.create_thing_group(thingGroupName=name + "_child", parentGroupName=name)
        self.iot.create_thing(thingName=name)
        self.iot.add_thing_to_thing_group(thingGroupName=name + "_child", thingName=name)
        self.assertEqual(self.iot.list_things_in_thing_group(thingGroupName=name)["things"], [])
        self.assertEqual(self.iot.list_things_in_thing_group(thingGroupName=name, recursive=True)["things"], [name])
        # Not twice in one hierarchy.
        self.refused("InvalidRequestException", self.iot.add_thing_to_thing_group, thingGroupName=name, thingName=name)

    def test_what_does_not_exist_is_not_found(self):
        name = self.name()
        self.iot.create_thing_group(thingGroupName=name)
        self.refused("ResourceNotFoundException", self.iot.add_thing_to_thing_group, thingGroupName=name, thingName="none")
        self.refused("ResourceNotFoundException", self.iot.list_things_in_thing_group, thingGroupName="none")
        self.refused("ResourceNotFoundException", self.iot.list_thing_groups, parentGroup="none")
        self.refused("ResourceNotFoundException", self.iot.update_thing_group, thingGroupName="none", thingGroupProperties={})
        self.refused("InvalidRequestException", self.iot.create_thing_group, thingGroupName=name + "_c", parentGroupName="none")
        self.refused("InvalidRequestException", self.iot.create_thing_group, thingGroupName="a b")

    def test_a_hierarchy_is_seven_deep(self):
        name, parents = self.name(), {}
        for depth in range(7):
            self.iot.create_thing_group(thingGroupName=f"{name}_{depth}", **parents)
            parents = {"parentGroupName": f"{name}_{depth}"}
        with self.assertRaises((self.iot.exceptions.InvalidRequestException, self.iot.exceptions.ClientError)) as error:
            self.iot.create_thing_group(thingGroupName=f"{name}_7", **parents)
        self.assertIn(error.exception.response["Error"]["Code"], ["InvalidRequestException", "LimitExceededException"])

    def test_the_list_is_paged_and_filtered_by_prefix(self):
        names = [self.name(f"_{number}") for number in range(5)]
        for name in names:
            self.iot.create_thing_group(thingGroupName=name)
        pages, groups = self.pages(self.iot, "list_thing_groups", "thingGroups", 2, namePrefixFilter=self.name())
        self.assertEqual((pages, sorted(group["groupName"] for group in groups)), (3, names))
