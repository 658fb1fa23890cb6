//! `fleetkey revoke` on a device that is connected.

use crate::core::{Core, Outcome, a_directory};
use crate::inventory::Clients;
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
    // What is revoked stays so, whatever less is asked for.
    let less = fleet.core.run(&["revoke", &id, "--inactive"], fleet.path()).good();
    let ended = less.lines.iter().find(|line| line["event"] == "certificate").unwrap();
    assert_eq!((&ended["status"], &ended["seconds"]), (&"REVOKED".into(), &serde_json::Value::Null));
    assert_eq!(fleet.certificates(), [(id.clone(), "REVOKED".to_owned())]);
    assert!(!less.calls().contains("iot:UpdateCertificate"), "{:?}", less.calls());
    crate::least_privilege::exact(&fleet.core, &["revoke"], &[listed, again]);
    let directory = fleet.path().to_str().unwrap();
    let shown = crate::process::run(&["journal", "show", "--about", &id, "--fleet-dir", directory]).1;
    assert!(shown.contains("a stolen laptop") && shown.contains("revoke"), "{shown}");
    let missing = fleet.core.run(&["revoke", &"0".repeat(64)], fleet.path());
    assert!(missing.code == 1 && missing.errors.contains("certificate 0000"), "{}", missing.errors);
}

/// A list is read whole before anything is ended; what is not there any more stops nobody; and run again, it finds its work
/// done.
#[test]
fn a_list_is_ended_to_its_end_and_may_be_run_again() {
    let (core, fleet) = (Core::empty(), a_directory());
    core.set_up(&[], fleet.path()).good();
    let clients = Clients::of(&core);
    let made = || clients.wait(clients.iot.create_keys_and_certificate().set_as_active(true).send()).unwrap();
    let ids = [made(), made()].map(|made| made.certificate_id().unwrap().to_owned());
    let list = fleet.path().join("leaked");
    let revoke = |text: &str| {
        std::fs::write(&list, text).unwrap();
        core.run(&["revoke", "--list", list.to_str().unwrap(), "--why", "a laptop"], fleet.path())
    };
    let wrong = revoke(&format!("{}\nnot one\n", ids[0]));
    assert!(wrong.code == 1 && wrong.errors.contains("line 2 of"), "{}", wrong.errors);
    let status = |id: &str| {
        let found = clients.wait(clients.iot.describe_certificate().certificate_id(id).send()).unwrap();
        found.certificate_description().unwrap().status().unwrap().to_string()
    };
    assert_eq!(ids.each_ref().map(|id| status(id)), ["ACTIVE", "ACTIVE"], "nothing was begun");

    let unknown = "0".repeat(64);
    let text = format!("{}\n\n{unknown}\n{}\n", ids[0], ids[1]);
    let first = revoke(&text);
    let of = |run: &Outcome, name: &str| run.last()[name].as_u64().unwrap();
    assert_eq!(
        (first.code, of(&first, "certificates"), of(&first, "missing")),
        (1, 2, 1),
        "{}",
        first.errors
    );
    assert!(first.errors.contains(&unknown), "{}", first.errors);
    assert_eq!(ids.each_ref().map(|id| status(id)), ["REVOKED", "REVOKED"]);
    let ended = |run: &Outcome| {
        let lines = run.lines.iter().filter(|line| line["event"] == "certificate");
        lines.filter(|line| line["seconds"].is_number()).count()
    };
    assert_eq!(ended(&first), 2, "each is measured: {:#?}", first.lines);
    let again = revoke(&text.replace(&unknown, "")).good();
    assert_eq!((of(&again, "certificates"), ended(&again)), (2, 0), "{:#?}", again.lines);
    let directory = fleet.path().to_str().unwrap();
    for id in ids {
        let shown = crate::process::run(&["journal", "show", "--about", &id, "--fleet-dir", directory]).1;
        assert_eq!(shown.matches("because a laptop").count(), 2, "begun and done, once: {shown}");
    }
}
