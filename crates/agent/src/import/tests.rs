//! Pairs of files as they are met in the field, good and bad.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::keys::testing::signed;
use crate::store::{check as check_directory, read_record};

struct Field {
    dir: tempfile::TempDir,
    serial: SerialNumber,
}

const NOW: Timestamp = Timestamp::from_secs(1_780_000_000);

impl Field {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), serial: SerialNumber::new("dev-1").unwrap() }
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A pair in the demo's layout whose certificate bears this name.
    fn pair(&self, common: &str) -> Pair {
        let key = P256Keys.generate().unwrap();
        let (_, pem) = signed(common, &P256Keys.public_key(&key).unwrap(), &key);
        Pair {
            certificate: self.put("certs/device_dev-1/device.cert.pem", &pem),
            key: self.put("certs/device_dev-1/device.key.pem", key.expose()),
        }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn import(&self, pair: &Pair) -> Result<Imported, ImportError> {
        import(&self.state(), &self.serial, pair, false, NOW)
    }

    fn refused(&self, pair: &Pair) -> String {
        let error = self.import(pair).unwrap_err().to_string();
        assert!(!self.state().exists(), "what is refused leaves nothing: {error}");
        error
    }
}

#[test]
fn a_pair_in_the_demos_layout_becomes_a_sound_state_directory_and_stays_where_it_is() {
    let field = Field::new();
    let pair = field.pair("dev-1");
    assert_eq!(Pair::find(&field.dir.path().join("certs"), &field.serial).unwrap(), pair);
    assert_eq!(Pair::find(&field.dir.path().join("certs/device_dev-1"), &field.serial).unwrap(), pair);
    let before = (std::fs::read(&pair.certificate).unwrap(), std::fs::read(&pair.key).unwrap());
    let imported = field.import(&pair).unwrap();
    assert_eq!((imported.slot, imported.already, imported.nameless), (SlotId(1), false, false));
    let again = field.import(&pair).unwrap();
    assert_eq!(again, Imported { already: true, ..imported });
    let checked = check_directory(&field.state(), Arc::new(P256Keys), field.serial.clone());
    assert!(checked.is_sound() && checked.entries == 1, "{checked}");
    assert_eq!(read_record(&RealFs, &field.state()).unwrap().unwrap().current, Some(SlotId(1)));
    assert_eq!((std::fs::read(&pair.certificate).unwrap(), std::fs::read(&pair.key).unwrap()), before);
    let exported = std::fs::read(field.state().join("export").join(CERTIFICATE_FILE)).unwrap();
    assert_eq!(exported, before.0);
}

#[test]
fn what_is_wrong_with_a_pair_is_said_before_anything_is_made() {
    let field = Field::new();
    let pair = field.pair("dev-1");
    let other = P256Keys.generate().unwrap();
    let stranger = Pair { key: field.put("other.pem", other.expose()), ..pair.clone() };
    assert!(field.refused(&stranger).contains("is for the key in"));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let encrypted = Pair { key: field.put("encrypted.pem", encrypted), ..pair.clone() };
    assert!(field.refused(&encrypted).contains("openssl pkey"));
    let older = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
                 -----END RSA PRIVATE KEY-----\n";
    let older = Pair { key: field.put("older.pem", older), ..pair.clone() };
    assert!(field.refused(&older).contains("is encrypted"));
    let rubbish = Pair { key: field.put("rubbish.pem", "no key"), ..pair.clone() };
    assert!(field.refused(&rubbish).contains("P-256 or RSA"));
    let bytes = CertificateFacts::from_pem(&std::fs::read_to_string(&pair.certificate).unwrap()).unwrap().der;
    let der = field.put("device.der", "");
    std::fs::write(&der, bytes).unwrap();
    assert!(field.refused(&Pair { certificate: der, ..pair.clone() }).contains("-inform der"));
    std::fs::set_permissions(&pair.key, Permissions::from_mode(0o640)).unwrap();
    assert!(field.refused(&pair).contains("chmod 600"));
}

#[test]
fn a_certificate_of_another_device_or_another_time_is_refused() {
    let field = Field::new();
    let pair = field.pair("dev-2");
    assert!(field.refused(&pair).contains("\"dev-2\""));
    let late = Timestamp::from_secs(4_000_000_000);
    let error = import(&field.state(), &field.serial, &pair, true, late).unwrap_err().to_string();
    assert!(error.contains("is it right?"), "{error}");
    assert!(!import(&field.state(), &field.serial, &pair, true, NOW).unwrap().nameless);
    let nameless = Field::new();
    assert!(nameless.import(&nameless.pair(AWS_COMMON_NAME)).unwrap().nameless);
}

#[test]
fn a_directory_with_another_identity_or_an_agent_is_left_alone() {
    let field = Field::new();
    let first = field.import(&field.pair("dev-1")).unwrap();
    let record = std::fs::read(field.state().join("state.json")).unwrap();
    let error = field.import(&field.pair("dev-1")).unwrap_err();
    assert!(error.to_string().contains(&first.certificate.to_string()), "{error}");
    let held = Lock::acquire(&field.state()).unwrap();
    let error = field.import(&field.pair("dev-1")).unwrap_err();
    assert!(matches!(error, ImportError::Lock(LockError::InUse(_))), "{error}");
    drop(held);
    assert_eq!(std::fs::read(field.state().join("state.json")).unwrap(), record);
}

#[test]
fn a_directory_without_a_pair_or_with_two_is_told_apart() {
    let field = Field::new();
    let dir = field.dir.path().join("certs");
    assert!(matches!(Pair::find(&dir, &field.serial), Err(ImportError::NoPair { .. })));
    field.pair("dev-1");
    field.put("certs/dev-1-certificate.pem", "");
    field.put("certs/dev-1-private.key", "");
    assert!(matches!(Pair::find(&dir, &field.serial), Err(ImportError::Ambiguous(..))));
}

#[test]
fn of_a_chain_the_certificate_of_the_key_is_taken_wherever_it_stands() {
    let field = Field::new();
    let pair = field.pair("dev-1");
    let leaf = std::fs::read_to_string(&pair.certificate).unwrap();
    let issuer = P256Keys.generate().unwrap();
    let (_, issuer) = signed("dev-1", &P256Keys.public_key(&issuer).unwrap(), &issuer);
    std::fs::write(&pair.certificate, format!("subject=CN = dev-1\n{issuer}{leaf}")).unwrap();
    let imported = field.import(&pair).unwrap();
    assert_eq!(imported.certificate, CertificateFacts::from_pem(&leaf).unwrap().id);
}
