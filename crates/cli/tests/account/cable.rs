//! A cable between the controller and the broker, which can be cut and mended. It carries bytes and knows nothing of them.

use std::io::{ErrorKind, copy};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// The cable; it lives as long as its process.
pub(crate) struct Cable(Arc<Mutex<Carried>>);

/// Both ends of each connection that it carries; `None` while it is cut.
type Carried = Option<Vec<TcpStream>>;

impl Cable {
    /// Lays itself before the broker for a controller that starts from now on. Whoever else starts then has it, too.
    pub(crate) fn before(fleet: &Path) -> Self {
        let file = fleet.join("operator/config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let broker = u16::try_from(config["mqtt_port"].as_u64().unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        config["mqtt_port"] = listener.local_addr().unwrap().port().into();
        std::fs::write(&file, config.to_string()).unwrap();
        let carried = Arc::new(Mutex::new(Some(Vec::new())));
        let cable = Self(carried.clone());
        std::thread::spawn(move || accept(&listener, SocketAddr::from(([127, 0, 0, 1], broker)), &carried));
        cable
    }

    /// Ends every connection, and lets none through.
    pub(crate) fn cut(&self) {
        for stream in self.0.lock().unwrap().take().into_iter().flatten() {
            match stream.shutdown(Shutdown::Both) {
                Err(error) if error.kind() != ErrorKind::NotConnected => panic!("{error}"),
                _ => {}
            }
        }
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        self.0.lock().unwrap().get_or_insert_default();
    }
}

fn accept(listener: &TcpListener, broker: SocketAddr, carried: &Mutex<Carried>) {
    for near in listener.incoming() {
        let near = near.unwrap();
        if let Some(carried) = &mut *carried.lock().unwrap() {
            let far = TcpStream::connect(broker).unwrap();
            carry(near.try_clone().unwrap(), far.try_clone().unwrap());
            carry(far.try_clone().unwrap(), near.try_clone().unwrap());
            carried.extend([near, far]);
        }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        // However it ends, the other side is to know.
        let _ended = copy(&mut from, &mut to);
        let _gone = to.shutdown(Shutdown::Both);
    });
}
