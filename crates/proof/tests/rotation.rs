//! The rotation under faults: a slice of the enumeration and of the random schedules, the same in every run.
//!
//! The whole is `cargo run -p fleetkey-proof -- exhaustive` and `… random --count 1000000` (CONTRIBUTING.md).

use fleetkey_lifecycle::graph;
use fleetkey_proof::explore::{self, Share, Told, exhaustive, random};
use fleetkey_proof::schedule::Schedule;
use fleetkey_proof::world::{Ending, prepared};

#[test]
fn a_calm_rotation_ends_with_one_certificate_and_one_slot() {
    for schedule in ["seed=0", "seed=1 takeover", "seed=2 takeover forget", "seed=3 fresh"] {
        let schedule: Schedule = schedule.parse().unwrap();
        let outcome = explore::run(&schedule).unwrap();
        assert_eq!(outcome.violation, None, "{schedule}");
        assert!(outcome.steps > 100, "{schedule}: {} steps", outcome.steps);
    }
}

#[test]
fn crashes_and_faults_at_every_step_lose_nothing() {
    let report = exhaustive(Share { one_of: 8000 }).unwrap();
    println!("{report}");
    let found: Vec<String> = report.found.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(report.schedules() > 1000 && report.states.len() > 100, "{report}");
    // No change of state is seen that the map does not have.
    for (from, to) in &report.observed {
        assert!(graph::edges(*from, *to).next().is_some(), "{from:?} → {to:?} is not on the map");
    }
}

#[test]
fn schedules_at_random_lose_nothing() {
    let ran = random(5000, 600, 3, |told| {
        if let Told::Broke(found) = told {
            println!("{found}");
        }
    })
    .unwrap();
    println!("{}", ran.tally);
    assert_eq!(ran.found.len(), 0, "see above");
}

#[test]
fn a_controller_that_sees_no_leftovers_is_caught() {
    // Somebody registers a certificate with the new key after the commit, and keeps it for later.
    let schedule: Schedule = "seed=0 400:thief=keep".parse().unwrap();
    let swept = explore::run(&schedule).unwrap();
    assert_eq!((swept.violation, swept.effective), (None, 1));
    let mut world = prepared(&schedule).unwrap();
    world.env.cloud.sees_no_leftovers = true;
    assert_eq!(world.run().violation.map(|violation| violation.invariant), Some("sweep"));
}

#[test]
fn a_copied_disk_takes_nobodys_identity_in_silence() {
    let schedule: Schedule = "seed=0 20:clone 21:off=4000".parse().unwrap();
    let outcome = explore::run(&schedule).unwrap();
    assert_eq!((outcome.violation, outcome.ending), (None, Ending::LostWhileAway));
}

#[test]
fn nobody_helps_where_the_device_can_help_itself() {
    for (schedule, ending) in [
        ("seed=0", Ending::Arrived),
        // In the soak the one before is still accepted, and stays the only one.
        ("seed=0 169:deactivate=current", Ending::Arrived),
        ("seed=0 43:revoke=current", Ending::Helped),
        // The one before is still there, and nobody has asked to retire it.
        ("seed=0 169:wipe=current", Ending::Arrived),
        // It lay in a box for a day before it was refused, and is still there when a person gives it back.
        ("seed=0 fresh 95:down=90000 96:deactivate=candidate", Ending::Helped),
        // A broker, or what stands before it, that closes every connection for hours has refused nobody for good.
        ("seed=0 fresh 100:refuse=9000", Ending::Arrived),
        ("seed=0 169:refuse=9000", Ending::Arrived),
        ("seed=0 norecovery 43:revoke=current", Ending::BeyondHelp),
        ("seed=0 5000:lost", Ending::Void),
    ] {
        let outcome = explore::run(&schedule.parse().unwrap()).unwrap();
        assert_eq!((outcome.violation, outcome.ending), (None, ending), "{schedule}");
    }
}

#[test]
fn what_the_model_found_once_stays_mended() {
    for schedule in [
        // A directory whose fsync failed and that could not be removed was trusted when it was met again.
        "seed=0 44:EIO*2",
        // The claim was not allowed to use the template for recovery.
        "seed=0 43:revoke=current",
        // A first certificate was given up at once when its registration was carried out and answered with a no.
        "seed=0 fresh 91:409!",
        // What a device never committed, as far as its disk knows, may give way to another first attempt.
        "seed=0 fresh norecovery 20:cut=keep 85:cut=without:7 155:revoke=current 162:wipe=record",
        // A slot that did not read at the start was served, and nobody knew which certificate that was.
        "seed=0 206:cut=torn 223:EIO*99",
        // A directory that could not be removed was taken for one that holds something.
        "seed=0 49:EIO*66 188:EIO",
        // A first registration that was carried out and denied was given up in less than a day.
        "seed=0 fresh 4:lost 65:delay=600 92:409! 162:deactivate=candidate",
        // Two activations in a row, of a rotation and of the one that a compromise began in its soak.
        "seed=0 202:clock=2099 223:compromise 234:delay=600",
        // Without a record only the newest of two slots was tried, where both had their tokens still.
        "seed=0 fresh 74:cut=zeros 110:compromise 176:EROFS 239:wipe=record",
        // An identity that passed gave way to the one before, for a session that was refused long ago.
        "seed=548 48:compromise 112:429! 192:EROFS 206:refuse=700 226:taken",
        // What was staged was given up while nobody knew whether the other one still served.
        "seed=0 0:stage 1000:deactivate=current 1001:rollback",
    ] {
        let schedule: Schedule = schedule.parse().unwrap();
        assert_eq!(explore::run(&schedule).unwrap().violation, None, "{schedule}");
    }
}

#[test]
fn a_rotation_in_an_operators_steps_arrives_where_the_steps_lead() {
    // Staged, switched to days later, and retired or gone back from; each step again; and a step too many.
    for schedule in [
        "seed=0 0:stage 1000:switch 1060:retire",
        "seed=0 0:stage 1000:switch 1060:rollback 3000:stage 4000:switch",
        "seed=0 takeover 0:stage 1000:switch 1060:rollback",
        "seed=0 0:stage 1:stage 1000:switch 1001:switch 1060:retire 1061:retire",
        "seed=0 0:stage 1000:rollback 2000:rollback",
        "seed=0 0:stage 46:rollback 137:switch 197:retire",
        "seed=0 fresh 0:stage 200:switch 300:rollback",
        // Nobody comes for the window.
        "seed=0 0:stage",
        // What is staged is taken away, and what is in use.
        "seed=0 0:stage 1000:deactivate=candidate 2000:switch",
        "seed=0 0:stage 1000:revoke=current",
        "seed=0 0:stage 1000:compromise",
    ] {
        let schedule: Schedule = schedule.parse().unwrap();
        let outcome = explore::run(&schedule).unwrap();
        assert_eq!((outcome.violation, outcome.ending), (None, Ending::Arrived), "{schedule}");
    }
}
