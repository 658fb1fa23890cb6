//! A rotation storm in virtual time.

use std::time::Duration;

use fleetkey_proof::storm::Storm;

#[test]
fn two_hundred_devices_rotate_within_one_and_a_half_times_the_requests() {
    let storm = Storm { devices: 200, window: Duration::from_secs(120), rate: 10 };
    let figures = storm.run().unwrap();
    println!("{figures:?}");
    assert_eq!(figures.rotated, 200, "{figures:?}");
    assert!(figures.requests * 10 <= 200 * 2 * 15, "{figures:?}");
}

#[test]
fn a_cloud_that_is_too_slow_for_the_window_is_waited_for() {
    let storm = Storm { devices: 40, window: Duration::from_secs(5), rate: 2 };
    let figures = storm.run().unwrap();
    println!("{figures:?}");
    assert_eq!(figures.rotated, 40, "{figures:?}");
    assert!(figures.throttled > 0, "{figures:?}");
}
