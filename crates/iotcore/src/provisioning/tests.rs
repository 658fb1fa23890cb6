//! Provisioning tests.
