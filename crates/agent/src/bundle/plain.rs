//! Programs that read PEM files: the names they go by, and what to configure.
//!
//! What each does when the files change was measured (mosquitto 2.0.11, Paho C 1.3.12, Paho for Python 2.2.0): all but
//! Python read them at each connection, none looks by itself.

use fleetkey_model::secret::PrivateKeyPem;

use super::{File, Material};

type Made = (Vec<File>, String);

fn files(of: &Material, key: &PrivateKeyPem, names: [&str; 3]) -> Vec<File> {
    let [root, certificate, key_file] = names;
    vec![
        File::public(root, of.roots_pem()),
        // The key first: a reader that comes between fails and comes again, whichever it meets.
        File::secret(key_file, key.expose()),
        File::public(certificate, of.certificate_pem()),
    ]
}

/// A bridge reads its files when it connects, and nothing makes it connect: not SIGHUP. So it is made to give up soon.
pub(super) fn mosquitto(of: &Material, key: &PrivateKeyPem) -> Made {
    let (serial, root) = (&of.serial, &of.topic_root);
    let conf = format!(
        "# A bridge to AWS IoT Core as {serial}. Include it in mosquitto.conf; mosquitto's user must be able to read the\n\
         # files. It reads them when it connects: after an export, restart the bridge's broker or cut the connection.\n\
         connection aws-{serial}\n\
         address {}:{}\n\
         remote_clientid {serial}\n\
         bridge_protocol_version mqttv311\n\
         bridge_cafile {}\n\
         bridge_certfile {}\n\
         bridge_keyfile {}\n\
         cleansession false\n\
         try_private false\n\
         notifications false\n\
         bridge_attempt_unsubscribe false\n\
         restart_timeout 1\n\
         topic {root}/{serial}/telemetry/# out 1\n\
         topic {root}/{serial}/commands/# in 1\n",
        of.host,
        of.port,
        of.path("ca.pem"),
        of.path("cert.pem"),
        of.path("key.pem"),
    );
    let mut files = files(of, key, ["ca.pem", "cert.pem", "key.pem"]);
    files.push(File::public("bridge.conf", conf.clone()));
    (files, conf)
}

pub(super) fn paho(of: &Material, key: &PrivateKeyPem) -> Made {
    let sheet = format!(
        "server      ssl://{}:{}\nclient id   {}\nclean       false\ntrustStore  {}\nkeyStore    {}\nprivateKey  {}\n\
         Paho C and libmosquitto read the files at each connection: after an export, drop the connection and connect.\n",
        of.host,
        of.port,
        of.serial,
        of.path("ca.pem"),
        of.path("cert.pem"),
        of.path("key.pem"),
    );
    (files(of, key, ["ca.pem", "cert.pem", "key.pem"]), sheet)
}

/// The context that a client holds reads nothing again by itself, but takes a new pair while it lives.
pub(super) fn paho_python(of: &Material, key: &PrivateKeyPem) -> Made {
    let sheet = format!(
        "import ssl\n\
         import paho.mqtt.client as mqtt\n\n\
         context = ssl.create_default_context(cafile={ca:?})\n\
         context.load_cert_chain({certificate:?}, {key:?})\n\
         client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id={serial:?}, clean_session=False)\n\
         client.tls_set_context(context)\n\
         client.connect({host:?}, {port})\n\n\
         # After an export: the context that the client holds takes the new pair, the next connection uses it.\n\
         # Not disconnect(), which would end the session.\n\
         # context.load_cert_chain({certificate:?}, {key:?})\n\
         # client.reconnect()\n",
        ca = of.path("ca.pem"),
        certificate = of.path("cert.pem"),
        key = of.path("key.pem"),
        serial = of.serial.as_str(),
        host = of.host,
        port = of.port,
    );
    (files(of, key, ["ca.pem", "cert.pem", "key.pem"]), sheet)
}

/// It tells files apart by how their names end, and documents that it reads RSA in PKCS#1 alone (docs.chariot.io, Servers,
/// Certificates).
pub(super) fn ignition(of: &Material, key: &PrivateKeyPem) -> Made {
    let names = ["ca.pem", "cert.pem", "private.key"].map(|end| format!("{}-{end}", of.serial));
    let [root, certificate, key_file] = names.each_ref().map(String::as_str);
    let fits = key.expose().trim_start().starts_with("-----BEGIN RSA PRIVATE KEY-----");
    let note = if fits {
        ""
    } else {
        "NOTE  Cirrus Link documents that a private key must be RSA in PKCS#1, and this one is not: use the sidecar, or \
         let the service make the key (key_source = \"service\").\n"
    };
    let sheet = format!(
        "{note}URL         ssl://{}:{}\nclient id   {}\nUpload {root}, {certificate} and {key_file} in the server's settings; the \
         names must end as they do. After an export, upload them again.\n",
        of.host, of.port, of.serial,
    );
    (files(of, key, [root, certificate, key_file]), sheet)
}
