//! The quotas that the registry enforces. Source: AWS IoT Core endpoints and quotas.

/// Policies that may be attached to a certificate.
pub const MAX_POLICIES: usize = 10;
/// Policies that may be attached to a thing group.
pub const MAX_GROUP_POLICIES: usize = 2;
/// How deep thing groups may nest.
pub const MAX_DEPTH: usize = 7;
/// Provisioning templates that an account may have.
pub const MAX_TEMPLATES: usize = 256;
/// Attributes of a thing without a type.
pub const MAX_ATTRIBUTES_UNTYPED: usize = 3;
/// Attributes of a thing with a type.
pub const MAX_ATTRIBUTES: usize = 50;
/// Groups that a thing may be in.
pub const MAX_GROUPS: usize = 10;
/// Topic rules that an account may have.
pub const MAX_RULES: usize = 1000;
/// Actions of one topic rule.
pub const MAX_RULE_ACTIONS: usize = 10;
