//! Bundles of a real state directory, checked with other people's tools where there are any.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;

use fleetkey_lifecycle::record::Aftermath;
use fleetkey_model::time::Timestamp;

use super::*;
use crate::import::{Pair, import};
use crate::keys::testing::signed;
use crate::keys::{Keys, P256Keys};
use crate::store::Store;

const NOW: Timestamp = Timestamp::from_secs(1_780_000_000);

struct Device {
    dir: tempfile::TempDir,
    config: AgentConfig,
}

impl Device {
    fn new(serial: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            path
        };
        let key = P256Keys.generate().unwrap();
        let (_, pem) = signed(serial, &P256Keys.public_key(&key).unwrap(), &key);
        let pair = Pair { certificate: put("c.pem", &pem), key: put("k.pem", key.expose()) };
        let roots = vec![put("root.pem", &pem)];
        let serial = SerialNumber::new(serial).unwrap();
        let state = dir.path().join("state");
        let config = AgentConfig::new(serial, "broker.example", roots, state, "Rotation".parse().unwrap());
        import(&config.state_dir, &config.serial, &pair, false, NOW).unwrap();
        Self { dir, config }
    }

    fn write(&self, client: Client) -> Bundle {
        write(&self.config, client, &self.dir.path().join("out"), None).unwrap()
    }

    /// A rotation has committed, and what follows it has come so far.
    fn supersedes(&self, stage: Stage) {
        let AgentConfig { state_dir, serial, .. } = &self.config;
        let mut record = read_record(&RealFs, state_dir).unwrap().unwrap();
        record.aftermath = Some(Aftermath { id: "r1".into(), stage });
        let store = Store::open(Arc::new(RealFs), Arc::new(P256Keys), state_dir, serial.clone()).unwrap();
        store.write_record(&record).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join("out").join(name)).unwrap()
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Each program but CODESYS, and its files.
const PLAIN: [(Client, &[&str]); 9] = [
    (Client::Mosquitto, &["ca.pem", "key.pem", "cert.pem", "bridge.conf"]),
    (Client::Libmosquitto, &["ca.pem", "key.pem", "cert.pem"]),
    (Client::Paho, &["ca.pem", "key.pem", "cert.pem"]),
    (Client::PahoPython, &["ca.pem", "key.pem", "cert.pem"]),
    (Client::AwsSdk, &["ca.pem", "key.pem", "cert.pem"]),
    (Client::Telegraf, &["ca.pem", "key.pem", "cert.pem", "telegraf.conf"]),
    (Client::Nanomq, &["ca.pem", "key.pem", "cert.pem", "nanomq_bridge.conf"]),
    (Client::Neuron, &["ca.pem", "key.pem", "cert.pem", "parameters.json"]),
    (Client::Ignition, &["dev-1-ca.pem", "dev-1-private.key", "dev-1-cert.pem"]),
];

#[test]
fn of_files_that_cannot_all_be_written_none_is_changed() {
    let device = Device::new("PM1");
    device.write(Client::Paho);
    let out = device.dir.path().join("out");
    std::fs::remove_file(out.join("cert.pem")).unwrap();
    std::fs::create_dir(out.join("cert.pem")).unwrap();
    let marked = device.read("key.pem") + "the one before\n";
    std::fs::write(out.join("key.pem"), &marked).unwrap();
    let failed = write(&device.config, Client::Paho, &out, None).unwrap_err().to_string();
    assert!(failed.contains("cert.pem"), "{failed}");
    assert_eq!(device.read("key.pem"), marked);
    let left =
        std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.starts_with(".tmp-")));
}

#[test]
fn each_program_finds_its_names_and_only_the_owner_reads_the_key() {
    for (client, names) in PLAIN {
        let device = Device::new("dev-1");
        let bundle = device.write(client);
        let written: Vec<_> =
            bundle.files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(written, names);
        assert_eq!(device.write(client), bundle, "again, after a commit");
        assert_eq!(mode(&device.dir.path().join("out")), 0o700);
        for path in &bundle.files {
            let is_secret = path == &bundle.files[1] || path.ends_with("parameters.json");
            assert_eq!(mode(path), if is_secret { 0o600 } else { 0o644 }, "{}", path.display());
            let holds_key = std::fs::read_to_string(path).unwrap().contains("PRIVATE KEY");
            assert_eq!(holds_key, path == &bundle.files[1]);
        }
        assert!(
            bundle.sheet.contains("broker.example") && bundle.sheet.contains("dev-1"),
            "{}",
            bundle.sheet
        );
        assert!(!bundle.sheet.contains("PRIVATE KEY"));
        let identity = crate::tls::ClientIdentity::from_files(&bundle.files[2], &bundle.files[1]).unwrap();
        let public = CertificateFacts::from_pem(&identity.chain).unwrap().public_key;
        assert_eq!(P256Keys.public_key(&identity.key), Ok(public));
    }
}

#[test]
fn the_bundle_for_codesys_opens_with_its_passphrase_and_its_sums_are_right() {
    let device = Device::new("dev1");
    let bundle = device.write(Client::Codesys);
    let secret = device.dir.path().join("out.passphrase");
    assert_eq!(mode(&secret), 0o600);
    let passphrase = std::fs::read_to_string(&secret).unwrap();
    assert_eq!(passphrase.trim().len(), PASSPHRASE);
    assert!(!bundle.sheet.contains(passphrase.trim()) && bundle.sheet.contains("out.passphrase"));
    let checked = Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(device.dir.path().join("out"))
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let opened = Command::new("openssl")
        .args(["pkcs12", "-nokeys", "-passin", &format!("file:{}", secret.display()), "-in"])
        .arg(&bundle.files[0])
        .output()
        .unwrap();
    let told = String::from_utf8(opened.stdout).unwrap();
    let opened = CertificateFacts::from_pem(&told[told.find("-----BEGIN").unwrap()..]).unwrap();
    let exported = std::fs::read(device.dir.path().join("out/dev1.der")).unwrap();
    assert_eq!(opened.der, exported);
    assert!(
        bundle.sheet.contains(&opened.id.to_string()) && !bundle.sheet.contains("NOTE"),
        "{}",
        bundle.sheet
    );
    assert_eq!(device.read("STEPS.txt"), bundle.sheet);
    let request = device.read("STEPS-REQUEST.txt");
    assert!(request.contains("cert-createcsr") && !request.contains(".p12"), "{request}");
    let program = device.read("CLIENT.st");
    for wanted in ["sCommonName : STRING(255) := 'dev1';", "sClientId := 'dev1'", "sCertCNPrefix := '');"] {
        assert!(program.contains(wanted), "{wanted}\n{program}");
    }
    assert_eq!(program.matches("udiVerificationMode := 2").count(), 1);
    device.write(Client::Codesys);
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), passphrase, "one passphrase for all that follow");
}

#[test]
fn the_line_that_the_plc_itself_publishes_is_on_the_sheet_while_something_is_superseded() {
    let device = Device::new("dev1");
    assert!(device.write(Client::Codesys).sheet.contains("Nothing is superseded"));
    device.supersedes(Stage::Retiring);
    let sheet = device.write(Client::Codesys).sheet;
    assert!(sheet.contains("fleetkey/things/dev1/requests\n{\"op\":\"retire\",\"id\":\"r1\"}\n"), "{sheet}");
}

#[test]
fn every_program_is_told_the_line_by_which_the_certificate_before_is_retired() {
    let soak = Stage::Soak { until: NOW };
    for (client, _) in PLAIN {
        let device = Device::new("dev-1");
        let told = |device: &Device| {
            let sheet = device.write(client).sheet;
            let line = |word: &str| sheet.lines().any(|line| line.trim_start_matches("# ").trim() == word);
            let payload = r#"{"op":"retire","id":"r1"}"#;
            // Once to be copied, once in the command of whoever stands in for the program.
            let in_its_place = format!("-t fleetkey/things/dev-1/requests -m '{payload}'");
            line("topic    fleetkey/things/dev-1/requests")
                && line(&format!("payload  {payload}"))
                && sheet.contains(&in_its_place)
        };
        assert!(!told(&device));
        assert!(device.write(client).sheet.ends_with("Nothing is superseded that could be retired.\n"));
        for (stage, wanted) in [(soak, true), (Stage::Retiring, true), (Stage::Retired, false)] {
            device.supersedes(stage);
            assert_eq!(told(&device), wanted, "{client:?} {stage:?}");
        }
    }
}

#[test]
fn what_is_read_by_a_program_holds_no_line_that_it_would_take_for_a_setting() {
    for (client, names) in PLAIN {
        let Some(name) = names.get(3).filter(|name| name.ends_with(".conf")) else { continue };
        let device = Device::new("dev-1");
        let before = settings(&device.write(client).sheet);
        device.supersedes(Stage::Retiring);
        let after = device.write(client);
        assert_eq!(settings(&after.sheet), before, "the line is a comment");
        assert_eq!(device.read(name), after.sheet);
    }
}

fn settings(sheet: &str) -> Vec<String> {
    sheet.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn neuron_gets_its_files_as_its_api_takes_them() {
    use base64ct::{Base64, Encoding};
    let device = Device::new("dev-1");
    device.write(Client::Neuron);
    let parameters: serde_json::Value = serde_json::from_str(&device.read("parameters.json")).unwrap();
    assert_eq!(parameters["client-id"], "dev-1");
    assert_eq!((&parameters["ssl"], &parameters["port"]), (&true.into(), &8883.into()));
    for (name, file) in [("ca", "ca.pem"), ("cert", "cert.pem"), ("key", "key.pem")] {
        let content = Base64::decode_vec(parameters[name].as_str().unwrap()).unwrap();
        assert_eq!(String::from_utf8(content).unwrap(), device.read(file));
    }
}

#[test]
fn a_path_with_a_blank_is_one_word_of_the_command() {
    let device = Device::new("dev-1");
    let out = device.dir.path().join("its files");
    let sheet = write(&device.config, Client::Libmosquitto, &out, None).unwrap().sheet;
    let quoted = format!("--cafile '{}' --cert", out.join("ca.pem").display());
    assert!(sheet.contains(&quoted), "{sheet}");
    assert_eq!(plain::word("it's"), r"'it'\''s'");
}

/// A certificate for a key that nobody here has.
fn signed_for(name: &str, registered: bool) -> Signed {
    let (plc, ca) = (P256Keys.generate().unwrap(), P256Keys.generate().unwrap());
    let (der, _) = signed(name, &P256Keys.public_key(&plc).unwrap(), &ca);
    let (issuer, _) = signed("Plant CA", &P256Keys.public_key(&ca).unwrap(), &ca);
    let read = |der: Vec<u8>| CertificateFacts::from_der(&der).unwrap();
    Signed { certificate: read(der), issuer: Some(read(issuer)), registered }
}

#[test]
fn what_was_signed_for_a_plc_is_written_without_any_key_and_its_sums_are_right() {
    let device = Device::new("dev1");
    let signed = signed_for("dev1", true);
    let out = device.dir.path().join("out");
    let bundle = write_signed(&device.config, &signed, &out).unwrap();
    let names: Vec<_> = bundle.files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    let expected = [
        "dev1.der",
        "thumbprint.txt",
        "root-1.der",
        "ca.der",
        "chain.pem",
        "SHA256SUMS",
        "STEPS.txt",
        "CLIENT.st",
    ];
    assert_eq!(names, expected);
    assert_eq!(signed_file(&out, &device.config.serial), bundle.files[0]);
    for path in &bundle.files {
        let content = std::fs::read(path).unwrap();
        assert!(!content.windows(11).any(|window| window == b"PRIVATE KEY"), "{}", path.display());
    }
    let checked =
        Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(&out).output();
    assert!(checked.unwrap().status.success());
    assert_eq!(std::fs::read(&bundle.files[0]).unwrap(), signed.certificate.der);
    let thumbprint = device.read("thumbprint.txt");
    let sheet = &bundle.sheet;
    assert!(
        sheet.contains(thumbprint.trim()) && sheet.contains(&signed.certificate.id.to_string()),
        "{sheet}"
    );
    let line = format!("{{\"op\":\"retire\",\"id\":\"{}\"}}\n", signed.certificate.id.short());
    assert!(sheet.contains(&line) && !sheet.contains("NOTE") && !sheet.contains("Register"), "{sheet}");
}

#[test]
fn a_prefix_is_configured_and_what_nobody_has_registered_is_a_step() {
    let device = Device::new("dev1");
    let signed = signed_for("AWSClient@dev1", false);
    let bundle = write_signed(&device.config, &signed, &device.dir.path().join("out")).unwrap();
    let sheet = &bundle.sheet;
    assert!(sheet.contains("sCertCNPrefix := 'AWSClient'") && !sheet.contains("NOTE"), "{sheet}");
    assert!(sheet.contains("[ ] 0  Register the certificate"), "{sheet}");
    let program = device.read("CLIENT.st");
    assert!(
        program.contains("'AWSClient@dev1'") && program.contains("sCertCNPrefix := 'AWSClient'"),
        "{program}"
    );
}

#[test]
fn what_codesys_may_not_like_is_said() {
    let bundle = Device::new("PM500-0001").write(Client::Codesys);
    assert!(bundle.sheet.contains("letters and digits only"), "{}", bundle.sheet);
}

#[test]
fn a_key_that_ignition_does_not_read_is_said_to_be_one() {
    let bundle = Device::new("dev-1").write(Client::Ignition);
    assert!(bundle.sheet.starts_with("NOTE") && bundle.sheet.contains("PKCS#1"), "{}", bundle.sheet);
}

#[test]
fn each_directory_has_a_passphrase_of_its_own_whatever_dots_its_name_has() {
    let device = Device::new("dev1");
    let made = ["plc.1", "plc.2"].map(|name| {
        write(&device.config, Client::Codesys, &device.dir.path().join(name), None).unwrap();
        std::fs::read_to_string(device.dir.path().join(format!("{name}.passphrase"))).unwrap()
    });
    assert_ne!(made[0], made[1]);
}

#[test]
fn without_an_identity_or_with_a_passphrase_that_does_not_do_nothing_is_written() {
    let device = Device::new("dev1");
    let secret = device.dir.path().join("secret");
    std::fs::write(&secret, "long enough\n").unwrap();
    let to = device.dir.path().join("other");
    let error = write(&device.config, Client::Codesys, &to, Some(&secret)).unwrap_err();
    assert!(error.to_string().contains("chmod 600"), "{error}");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&secret, "short\n").unwrap();
    let error = write(&device.config, Client::Codesys, &to, Some(&secret)).unwrap_err();
    assert!(error.to_string().contains("less than 8"), "{error}");
    let mut empty = device.config.clone();
    empty.state_dir = device.dir.path().join("nothing");
    let error = write(&empty, Client::Paho, &device.dir.path().join("third"), None).unwrap_err();
    assert!(matches!(error, BundleError::NoIdentity { .. }), "{error}");
    assert!(!device.dir.path().join("third").exists());
}
