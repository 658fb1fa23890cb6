//! Starting where something is in the way: a clear error, and nothing left running.

use std::sync::Arc;

use fleetkey_iotcore::clock::SystemClock;
use fleetkey_iotcore::config::Config;
use fleetkey_iotcore::server::{Listeners, StartError, start};

use crate::support::{ALL, World, v5};

async fn try_start(config: Config) -> Result<(), StartError> {
    let listeners = Listeners::loopback().await.unwrap();
    let handle = start(config, listeners, Arc::new(SystemClock)).await?;
    handle.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_data_directory_serves_one_server_at_a_time() {
    let world = World::start().await;
    let config = world.config().clone();
    let refused = try_start(config.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("in use by another process"), "{refused}");
    world.client(&world.identity(ALL).await, v5("a")).await.ping().await;
    let _dir = world.stop().await;
    try_start(config).await.unwrap();
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, "in the way").unwrap();
    let refused = try_start(Config::new(&path)).await.unwrap_err();
    assert!(matches!(refused, StartError::DataDir { .. }), "{refused}");
    assert!(refused.to_string().contains(&path.display().to_string()));
}

#[tokio::test]
async fn a_sessions_file_that_is_none_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.redb");
    std::fs::write(&path, "not a database").unwrap();
    let refused = try_start(Config::new(dir.path())).await.unwrap_err();
    assert!(refused.to_string().contains("sessions.redb"), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), b"not a database");
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_secret_can_be_read_by_others() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::start().await;
    let data = &world.config().data_dir;
    assert_eq!(std::fs::metadata(data).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in std::fs::read_dir(data).unwrap() {
        let entry = entry.unwrap();
        if entry.path() != world.handle().root_ca_path() {
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{:?}", entry.path());
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn a_dropped_handle_lets_go_of_its_files() {
    let world = World::start().await;
    let config = world.config().clone();
    let _dir = world.abandon();
    crate::support::soon("the files to be free", async {
        while try_start(config.clone()).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
