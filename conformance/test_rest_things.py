"""Things, their types and their principals by boto3."""

from conformance.aws import Account, AccountTest


class Things(AccountTest):
    def test_a_thing_is_made_read_changed_and_deleted(self):
        name = self.name()
        made = self.iot.create_thing(thingName=name, attributePayload={"attributes": {"a": "1", "b": "2"}})
        self.assertTrue(made["thingArn"].endswith(f":thing/{name}"))
        read = self.iot.describe_thing(thingName=name)
        self.assertEqual((read["version"], read["attributes"], read["defaultClientId"], read["thingId"]),
                         (1, {"a": "1", "b": "2"}, name, made["thingId"]))
        self.iot.update_thing(thingName=name, attributePayload={"attributes": {"b": "", "c": "3"}, "merge": True})
        self.assertEqual(self.iot.describe_thing(thingName=name)["attributes"], {"a": "1", "c": "3"})
        self.iot.update_thing(thingName=name, attributePayload={"attributes": {"d": "4"}}, expectedVersion=2)
        read = self.iot.describe_thing(thingName=name)
        self.assertEqual((read["attributes"], read["version"]), ({"d": "4"}, 3))
        self.refused("VersionConflictException", self.iot.update_thing, thingName=name, expectedVersion=1,
                     attributePayload={"attributes": {}})
        self.refused("VersionConflictException", self.iot.delete_thing, thingName=name, expectedVersion=1)
        self.iot.delete_thing(thingName=name, expectedVersion=3)
        self.refused("ResourceNotFoundException", self.iot.describe_thing, thingName=name)

    def test_making_the_same_again_is_no_error_and_another_is(self):
        name = self.name()
        first = self.iot.create_thing(thingName=name, attributePayload={"attributes": {"a": "1"}})
        again = self.iot.create_thing(thingName=name, attributePayload={"attributes": {"a": "1"}})
        self.assertEqual(first["thingId"], again["thingId"])
        error = self.refused("ResourceAlreadyExistsException", self.iot.create_thing, thingName=name,
                             attributePayload={"attributes": {"a": "2"}})
        self.assertEqual((error["resourceId"], error["resourceArn"]), (first["thingId"], first["thingArn"]))

    def test_deleting_what_does_not_exist_succeeds(self):
        self.iot.delete_thing(thingName="none")

    def test_what_does_not_exist_is_not_found(self):
        calls = [(self.iot.describe_thing, {}), (self.iot.update_thing, {"attributePayload": {"attributes": {}}}),
                 (self.iot.list_thing_principals, {}), (self.iot.list_thing_principals_v2, {}),
                 (self.iot.list_thing_groups_for_thing, {})]
        for call, arguments in calls:
            self.refused("ResourceNotFoundException", call, thingName="none", **arguments)
        self.refused("ResourceNotFoundException", self.iot.create_thing, thingName=self.name(), thingTypeName="none")
        self.refused("InvalidRequestException", self.iot.describe_thing, thingName="a b")

    def test_a_thing_without_a_type_has_three_attributes(self):
        attributes = {f"a{number}": "x" for number in range(4)}
        self.refused("InvalidRequestException", self.iot.create_thing, thingName=self.name(),
                     attributePayload={"attributes": attributes})
        self.iot.create_thing_type(thingTypeName=self.name())
        self.iot.create_thing(thingName=self.name(), thingTypeName=self.name(), attributePayload={"attributes": attributes})

    def test_things_are_found_by_attribute_and_type_page_by_page(self):
        names, kind = [self.name(f"_{number}") for number in range(5)], self.name()
        self.iot.create_thing_type(thingTypeName=kind)
        for name in names:
            self.iot.create_thing(thingName=name, thingTypeName=kind, attributePayload={"attributes": {kind: "prefix-" + name}})
        for filters in [{"thingTypeName": kind},
                        {"attributeName": kind, "attributeValue": "prefix-", "usePrefixAttributeValue": True}]:
            pages, things = self.pages(self.iot, "list_things", "things", 2, **filters)
            self.assertEqual((pages, sorted(thing["thingName"] for thing in things)), (3, names))
        one = self.iot.list_things(attributeName=kind, attributeValue="prefix-" + names[3])["things"]
        self.assertEqual([(thing["thingName"], thing["version"], thing["thingTypeName"]) for thing in one], [(names[3], 1, kind)])
        pages, things = self.pages(self.iot, "list_things", "things", 1)
        self.assertEqual(pages, len(things))
        self.refused("InvalidRequestException", self.iot.list_things, nextToken="none")

    def test_principals_are_attached_and_listed_both_ways(self):
        thing, others = self.name(), [self.name(f"_{number}") for number in range(3)]
        for name in [thing, *others]:
            self.iot.create_thing(thingName=name)
        arns = [self.certificate()["certificateArn"] for _ in range(3)]
        for arn in arns:
            self.iot.attach_thing_principal(thingName=thing, principal=arn)
        for name in others:
            self.iot.attach_thing_principal(thingName=name, principal=arns[0])
        pages, principals = self.pages(self.iot, "list_thing_principals", "principals", 2, thingName=thing)
        self.assertEqual((pages, sorted(principals)), (2, sorted(arns)))
        pages, things = self.pages(self.iot, "list_principal_things", "things", 3, principal=arns[0])
        self.assertEqual((pages, sorted(things)), (2, sorted([thing, *others])))
        pages, objects = self.pages(self.iot, "list_thing_principals_v2", "thingPrincipalObjects", 2, thingName=thing)
        self.assertEqual((pages, {item["thingPrincipalType"] for item in objects}), (2, {"NON_EXCLUSIVE_THING"}))
        pages, objects = self.pages(self.iot, "list_principal_things_v2", "principalThingObjects", 2, principal=arns[0])
        self.assertEqual((pages, sorted(item["thingName"] for item in objects)), (2, sorted([thing, *others])))
        self.refused("InvalidRequestException", self.iot.delete_thing, thingName=thing)
        for arn in arns:
            self.iot.detach_thing_principal(thingName=thing, principal=arn)
        self.assertEqual(self.iot.list_thing_principals(thingName=thing)["principals"], [])
        self.iot.delete_thing(thingName=thing)

    def test_an_exclusive_certificate_has_one_thing_and_a_thing_several(self):
        first, second = self.name("_1"), self.name("_2")
        for name in [first, second]:
            self.iot.create_thing(thingName=name)
        arns = [self.certificate()["certificateArn"] for _ in range(2)]
        for arn in arns:
            self.iot.attach_thing_principal(thingName=first, principal=arn, thingPrincipalType="EXCLUSIVE_THING")
        self.refused("InvalidRequestException", self.iot.attach_thing_principal, thingName=second, principal=arns[0])
        self.refused("InvalidRequestException", self.iot.attach_thing_principal, thingName=second, principal=arns[0],
                     thingPrincipalType="EXCLUSIVE_THING")
        listed = self.iot.list_thing_principals_v2(thingName=first, thingPrincipalType="EXCLUSIVE_THING")
        self.assertEqual(sorted(item["principal"] for item in listed["thingPrincipalObjects"]), sorted(arns))
        none = self.iot.list_principal_things_v2(principal=arns[0], thingPrincipalType="NON_EXCLUSIVE_THING")
        self.assertEqual(none["principalThingObjects"], [])
        self.iot.detach_thing_principal(thingName=first, principal=arns[0])
        self.iot.attach_thing_principal(thingName=second, principal=arns[0], thingPrincipalType="EXCLUSIVE_THING")

    def test_only_what_exists_is_attached(self):
        thing, arn = self.name(), self.certificate()["certificateArn"]
        self.refused("ResourceNotFoundException", self.iot.attach_thing_principal, thingName="none", principal=arn)
        self.iot.create_thing(thingName=thing)
        gone = arn.rpartition("/")[0] + "/" + "0" * 64
        self.refused("ResourceNotFoundException", self.iot.attach_thing_principal, thingName=thing, principal=gone)
        self.refused("InvalidRequestException", self.iot.attach_thing_principal, thingName=thing, principal="no arn")
        self.refused("ResourceNotFoundException", self.iot.detach_thing_principal, thingName="none", principal=arn)


class ThingTypes(AccountTest):
    def test_a_type_is_made_described_deprecated_and_kept_for_five_minutes(self):
        name = self.name()
        properties = {"thingTypeDescription": "a meter", "searchableAttributes": ["model"]}
        made = self.iot.create_thing_type(thingTypeName=name, thingTypeProperties=properties)
        again = self.iot.create_thing_type(thingTypeName=name, thingTypeProperties=properties)
        self.assertEqual(made["thingTypeId"], again["thingTypeId"])
        self.refused("ResourceAlreadyExistsException", self.iot.create_thing_type, thingTypeName=name)
        read = self.iot.describe_thing_type(thingTypeName=name)
        self.assertEqual(read["thingTypeProperties"], properties)
        self.assertFalse(read["thingTypeMetadata"]["deprecated"])
        self.iot.update_thing_type(thingTypeName=name, thingTypeProperties={
            "mqtt5Configuration": {"propagatingAttributes": [{"userPropertyKey": "model", "thingAttribute": "model"}]}})
        self.refused("InvalidRequestException", self.iot.delete_thing_type, thingTypeName=name)
        self.iot.deprecate_thing_type(thingTypeName=name)
        self.assertTrue(self.iot.describe_thing_type(thingTypeName=name)["thingTypeMetadata"]["deprecated"])
        self.refused("InvalidRequestException", self.iot.create_thing, thingName=name, thingTypeName=name)
        # Five minutes have not passed.
        self.refused("InvalidRequestException", self.iot.delete_thing_type, thingTypeName=name)
        self.iot.deprecate_thing_type(thingTypeName=name, undoDeprecate=True)
        self.iot.create_thing(thingName=name, thingTypeName=name)
        self.iot.update_thing(thingName=name, removeThingType=True)
        self.assertNotIn("thingTypeName", self.iot.describe_thing(thingName=name))

    def test_the_five_minutes_can_be_shortened(self):
        account = Account("--type-deletion-delay", "0s")
        self.addCleanup(account.stop)
        iot, name = account.client("iot"), self.name()
        iot.create_thing_type(thingTypeName=name)
        self.refused("InvalidRequestException", iot.delete_thing_type, thingTypeName=name)
        iot.deprecate_thing_type(thingTypeName=name)
        iot.delete_thing_type(thingTypeName=name)
        self.refused("ResourceNotFoundException", iot.describe_thing_type, thingTypeName=name)

    def test_what_does_not_exist_is_not_found(self):
        for call in [self.iot.describe_thing_type, self.iot.delete_thing_type, self.iot.deprecate_thing_type]:
            self.refused("ResourceNotFoundException", call, thingTypeName="none")

    def test_the_list_is_paged(self):
        names = [self.name(f"_{number}") for number in range(5)]
        for name in names:
            self.iot.create_thing_type(thingTypeName=name)
        pages, types = self.pages(self.iot, "list_thing_types", "thingTypes", 2)
        self.assertLessEqual(set(names), {kind["thingTypeName"] for kind in types})
        self.assertEqual(pages, (len(types) + 1) // 2)
        self.assertEqual(len(self.iot.list_thing_types(thingTypeName=names[2])["thingTypes"]), 1)
