//! The quotas that the registry enforces. Source: AWS IoT Core endpoints and quotas.

use std::time::Duration;

/// Policies that may be attached to a certificate.
pub const MAX_POLICIES: usize = 10;
/// Policies that may be attached to a thing group.
pub const MAX_GROUP_POLICIES: usize = 2;
/// Versions of a policy or a provisioning template, the default included.
pub const MAX_VERSIONS: usize = 5;
/// How deep thing groups may nest.
pub const MAX_DEPTH: usize = 7;
/// Groups directly under a thing group.
pub const MAX_CHILDREN: usize = 100;
/// Attributes of a thing group.
pub const MAX_GROUP_ATTRIBUTES: usize = 50;
/// Provisioning templates that an account may have.
pub const MAX_TEMPLATES: usize = 256;
/// Attributes of a thing without a type.
pub const MAX_ATTRIBUTES_UNTYPED: usize = 3;
/// Attributes of a thing with a type.
pub const MAX_ATTRIBUTES: usize = 50;
/// Characters of a thing's or group's attributes together, names and values.
pub const MAX_ATTRIBUTE_CHARACTERS: usize = 47 * 1024;
/// Groups that a thing may be in.
pub const MAX_GROUPS: usize = 10;
/// Topic rules that an account may have.
pub const MAX_RULES: usize = 1000;
/// Actions of one topic rule.
pub const MAX_RULE_ACTIONS: usize = 10;
/// Searchable attributes of a thing type.
pub const MAX_SEARCHABLE: usize = 3;
/// Tags of a resource (Developer Guide, tagging-iot).
pub const MAX_TAGS: usize = 50;
/// How long after its deprecation a thing type may be deleted (Developer Guide, thing-types).
pub const TYPE_REST: Duration = Duration::from_secs(5 * 60);
/// How long a certificate of CreateProvisioningClaim is valid (API Reference, CreateProvisioningClaim).
pub const CLAIM_LIFETIME: Duration = Duration::from_secs(5 * 60);
