//! Write, then fsync, then answer: seen on a disk that the test holds in its hand. Killing a process would prove
//! nothing about a power cut.

use std::io;
use std::sync::{Arc, Condvar, Mutex};

use fleetkey_iotcore::server::Storage;
use fleetkey_mqtt::{Packet, Property, QoS, ReasonCode};
use redb::backends::InMemoryBackend;
use redb::{Database, StorageBackend};
use tokio::sync::watch;

use crate::support::{ALL, Client, World, soon, v5};

/// What the test makes of the next sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pass,
    Hold,
    Fail,
}

/// A disk whose sync can be held up or made to fail.
#[derive(Debug, Clone)]
struct Disk {
    data: Arc<InMemoryBackend>,
    mode: Arc<(Mutex<Mode>, Condvar)>,
    seen: watch::Sender<Seen>,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    /// Bytes written since the last sync that went through.
    unsynced: Vec<u8>,
    /// Syncs that are being held.
    held: usize,
}

impl Disk {
    fn new() -> Self {
        Self {
            data: Arc::new(InMemoryBackend::new()),
            mode: Arc::new((Mutex::new(Mode::Pass), Condvar::new())),
            seen: watch::Sender::new(Seen::default()),
        }
    }

    fn set(&self, mode: Mode) {
        *self.mode.0.lock().unwrap() = mode;
        self.mode.1.notify_all();
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.data.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.data.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.data.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut mode = self.mode.0.lock().unwrap();
        while *mode == Mode::Hold {
            self.seen.send_modify(|seen| seen.held = 1);
            mode = self.mode.1.wait(mode).unwrap();
        }
        if *mode == Mode::Fail {
            return Err(io::Error::other("the disk is broken"));
        }
        self.seen.send_replace(Seen::default());
        self.data.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.seen.send_modify(|seen| seen.unsynced.extend_from_slice(data));
        self.data.write(offset, data)
    }
}

/// A world on that disk, with an offline persistent subscriber to `t` and a publisher.
async fn world_with_sleeper(disk: &Disk) -> (World, Client) {
    let storage = Storage {
        sessions: Some(Database::builder().create_with_backend(disk.clone()).unwrap()),
        ..Storage::default()
    };
    let world = World::on(|_| {}, storage).await;
    let identity = world.identity(ALL).await;
    let mut connect = v5("sleeper");
    connect.properties.push(Property::SessionExpiryInterval(600));
    let mut sleeper = world.client(&identity, connect).await;
    assert_eq!(sleeper.subscribe("t", QoS::AtLeastOnce).await, ReasonCode::GRANTED_QOS_1);
    sleeper.vanish().await;
    let publisher = world.client(&identity, v5("publisher")).await;
    (world, publisher)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn a_puback_comes_after_the_fsync_that_comes_after_the_write() {
    let disk = Disk::new();
    let (world, mut publisher) = world_with_sleeper(&disk).await;
    let mut seen = disk.seen.subscribe();
    disk.set(Mode::Hold);
    let id = publisher.send_publish("t", "precious cargo").await;
    let held = seen.wait_for(|seen| seen.held > 0 && contains(&seen.unsynced, b"precious cargo"));
    drop(soon("the write before the held fsync", held).await.unwrap());
    // The connection is served while the disk is not: the next packet answered is the ping, not the message.
    publisher.ping().await;
    // Nothing waits for the disk where nobody persistent is meant.
    publisher.send_publish("elsewhere", "x").await;
    publisher.ping().await;
    disk.set(Mode::Pass);
    let Some(Packet::PubAck(ack)) = publisher.answer().await else {
        panic!("no PUBACK");
    };
    assert_eq!((ack.packet_id, ack.reason), (id, ReasonCode::SUCCESS));
    assert!(matches!(publisher.answer().await, Some(Packet::PubAck(_))), "in the order of the messages");
    world.stop().await;
}

#[tokio::test]
async fn a_message_to_nobody_persistent_does_not_wait_for_the_disk() {
    let disk = Disk::new();
    let (world, mut publisher) = world_with_sleeper(&disk).await;
    disk.set(Mode::Hold);
    assert_eq!(publisher.publish("elsewhere", "x").await, Ok(ReasonCode::SUCCESS));
    disk.set(Mode::Pass);
    world.stop().await;
}

#[tokio::test]
async fn a_broken_disk_acknowledges_nothing_for_persistent_sessions() {
    let disk = Disk::new();
    let (world, mut publisher) = world_with_sleeper(&disk).await;
    disk.set(Mode::Fail);
    publisher.send_publish("t", "x").await;
    assert_eq!(publisher.closed().await, Some(ReasonCode::UNSPECIFIED_ERROR));
    world.stop().await;
}
