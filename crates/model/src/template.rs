//! Provisioning templates: to be written.
