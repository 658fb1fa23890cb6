//! `fleetkey revoke` on a device that is connected.

use crate::serve::Fleet;

/// The certificate in use is revoked: the connection is cut, which is measured, and the device does not come back; the
/// journal says who, why and by which calls, and they are those of `--print-iam`.
#[test]
fn a_revoked_certificate_ends_with_its_connection() {
    let mut fleet = Fleet::of_one();
    let id = fleet.certificates().remove(0).0;
    let listed = fleet.core.run(&["revoke", "--thing", "press-1", "--inactive"], fleet.path()).good();
    let ended = listed.lines.iter().find(|line| line["event"] == "certificate").unwrap();
    assert_eq!((&ended["certificate"], &ended["before"]), (&id.clone().into(), &"ACTIVE".into()));
    let [cut] = ended["connections"].as_array().unwrap().as_slice() else { panic!("{ended}") };
    assert_eq!((&cut["client"], &cut["outcome"]), (&"press-1".into(), &"gone".into()), "{ended}");
    assert!(cut["seconds"].as_f64().is_some() && ended["seconds"].as_f64().is_some());
    fleet.refused();

    let again = fleet.core.run(&["revoke", &id, "--why", "a stolen laptop"], fleet.path()).good();
    let ended = again.lines.iter().find(|line| line["event"] == "certificate").unwrap();
    assert_eq!((&ended["before"], &ended["status"]), (&"INACTIVE".into(), &"REVOKED".into()));
    assert_eq!(fleet.certificates(), [(id.clone(), "REVOKED".to_owned())]);
    crate::least_privilege::exact(&fleet.core, &["revoke"], &[listed, again]);
    let directory = fleet.path().to_str().unwrap();
    let shown = crate::process::run(&["journal", "show", "--about", &id, "--fleet-dir", directory]).1;
    assert!(shown.contains("a stolen laptop") && shown.contains("revoke"), "{shown}");
    let missing = fleet.core.run(&["revoke", &"0".repeat(64)], fleet.path());
    assert!(missing.code == 1 && missing.errors.contains("certificate 0000"), "{}", missing.errors);
}
