//! The attested retirement of old certificates: to be written.
