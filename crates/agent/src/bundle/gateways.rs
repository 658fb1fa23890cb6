//! Programs with a configuration of their own: bridges, collectors, gateways. Its file, or what to enter or to send.
//!
//! What mosquitto does when the files change was measured (2.0.11). The others were read, in source and documentation:
//! Telegraf (August 2026), NanoMQ (926179e) with NanoNNG (52148e7), Neuron (67d6beb), Ignition's modules (docs.chariot.io).

use base64ct::{Base64, Encoding};
use fleetkey_model::secret::PrivateKeyPem;
use fleetkey_model::topic::FleetTopic;
use serde::Serialize;
use zeroize::Zeroizing;

use super::plain::{Made, Plain, word};
use super::{File, Material};

/// How the line of the retirement is said where any local client can say it to the bridge.
const BRIDGED: &str = "publish to this broker, which carries it up";
/// How it is said where the program publishes nothing that is not its own.
const IN_ITS_PLACE: &str = "publish in the program's place (below)";
/// More than roots, certificate and key come to in base64, in bytes: one that grows would leave copies of the key behind.
const PARAMETERS: usize = 256 * 1024;

/// A bridge reads its files when it connects, and nothing makes it connect: not SIGHUP. So it is made to give up soon.
pub(super) fn mosquitto(of: &Material, key: &PrivateKeyPem) -> Made {
    let program = Plain::new(of, key);
    let Material { host, port, serial, topic_root, .. } = of;
    let [ca, certificate, key] = program.paths();
    let requests = FleetTopic::Requests(serial.thing());
    let conf = format!(
        "# A bridge to AWS IoT Core as {serial}. Include it in mosquitto.conf; mosquitto's user must be able to read the\n\
         # files. It reads them when it connects: after an export, restart the bridge's broker or cut the connection.\n\
         connection aws-{serial}\n\
         address {host}:{port}\n\
         remote_clientid {serial}\n\
         bridge_protocol_version mqttv311\n\
         bridge_cafile {ca}\n\
         bridge_certfile {certificate}\n\
         bridge_keyfile {key}\n\
         cleansession false\n\
         try_private false\n\
         notifications false\n\
         bridge_attempt_unsubscribe false\n\
         restart_timeout 1\n\
         topic {topic_root}/{serial}/telemetry/# out 1\n\
         topic {topic_root}/{serial}/commands/# in 1\n\
         topic {requests} out 1\n",
    );
    program.configured("bridge.conf", conf, "# ", BRIDGED)
}

/// Its bridge reads the files when the bridge is made. `verify_peer` is read for listeners alone (conf_ver2.c), and is off
/// unless it is read: so the bridge trusts whoever answers.
pub(super) fn nanomq(of: &Material, key: &PrivateKeyPem) -> Made {
    let program = Plain::new(of, key);
    let Material { host, port, serial, topic_root, .. } = of;
    let [ca, certificate, key] = program.paths();
    let requests = FleetTopic::Requests(serial.thing());
    let conf = format!(
        "# A bridge of NanoMQ to AWS IoT Core as {serial}: at the end of nanomq.conf, include \"FILE\" with this file's path.\n\
         # NOTE  It does not verify the server: NanoMQ reads verify_peer for its listeners only. Use the sidecar, which does.\n\
         # After an export restart NanoMQ, or PUT these settings as JSON to /api/v4/bridges/aws.\n\
         bridges.mqtt.aws {{\n\
         \x20 server = \"tls+mqtt-tcp://{host}:{port}\"\n\
         \x20 proto_ver = 4\n\
         \x20 clientid = \"{serial}\"\n\
         \x20 keepalive = 60s\n\
         \x20 clean_start = false\n\
         \x20 ssl {{\n\
         \x20   cacertfile = {ca:?}\n\
         \x20   certfile = {certificate:?}\n\
         \x20   keyfile = {key:?}\n\
         \x20 }}\n\
         \x20 forwards = [\n\
         \x20   {{\n\
         \x20     remote_topic = \"\"\n\
         \x20     local_topic = \"{topic_root}/{serial}/telemetry/#\"\n\
         \x20     qos = 1\n\
         \x20   }},\n\
         \x20   {{\n\
         \x20     remote_topic = \"\"\n\
         \x20     local_topic = \"{requests}\"\n\
         \x20     qos = 1\n\
         \x20   }}\n\
         \x20 ]\n\
         \x20 subscription = [\n\
         \x20   {{\n\
         \x20     remote_topic = \"{topic_root}/{serial}/commands/#\"\n\
         \x20     local_topic = \"\"\n\
         \x20     qos = 1\n\
         \x20   }}\n\
         \x20 ]\n\
         }}\n",
    );
    program.configured("nanomq_bridge.conf", conf, "# ", BRIDGED)
}

/// It reads the files when it starts (plugins/common/tls), and publishes metrics, nothing else.
pub(super) fn telegraf(of: &Material, key: &PrivateKeyPem) -> Made {
    let program = Plain::new(of, key);
    let Material { host, port, serial, topic_root, .. } = of;
    let [ca, certificate, key] = program.paths();
    let conf = format!(
        "# An output of Telegraf to AWS IoT Core as {serial}, for telegraf.d; Telegraf's user must be able to read the files.\n\
         # It reads them when it starts: after an export restart Telegraf, or send it HUP, which does the same.\n\
         [[outputs.mqtt]]\n\
         \x20 servers = [\"mqtts://{host}:{port}\"]\n\
         \x20 topic = '{topic_root}/{serial}/telemetry/{{{{ .Name }}}}'\n\
         \x20 qos = 1\n\
         \x20 keep_alive = 60\n\
         \x20 client_id = \"{serial}\"\n\
         \x20 tls_ca = {ca:?}\n\
         \x20 tls_cert = {certificate:?}\n\
         \x20 tls_key = {key:?}\n",
    );
    program.configured("telegraf.conf", conf, "# ", IN_ITS_PLACE)
}

/// What Neuron's MQTT plugin takes of TLS in its settings (plugins/mqtt/mqtt_config.c): contents, in base64.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Parameters<'a> {
    client_id: &'a str,
    host: &'a str,
    port: u16,
    ssl: bool,
    ca: String,
    cert: String,
    key: &'a str,
}

/// What is left out of a node's settings is set to its default, so the rest is taken over from those there are.
pub(super) fn neuron(of: &Material, key: &PrivateKeyPem) -> Made {
    let program = Plain::new(of, key);
    let Material { host, port, serial, topic_root, .. } = of;
    let sheet = format!(
        "Node         north-bound, plugin MQTT; server {host}, port {port}, SSL on, client id {serial}\n\
         Topics       below {topic_root}/{serial}/, those for write requests and responses too: the thing's policy allows no others\n\
         Files        ca.pem as CA, cert.pem as client certificate, key.pem as client key; or all of it by REST, where\n\
         \x20            NODE is the node and the file \"token\" holds the line \"Authorization: Bearer TOKEN\":\n\
         \x20 curl -sfG -H @token --data-urlencode node=NODE http://127.0.0.1:7000/api/v2/node/setting \\\n\
         \x20   | jq --slurpfile new {parameters} '.params += $new[0]' \\\n\
         \x20   | curl -sf -H @token -H 'Content-Type: application/json' --data-binary @- http://127.0.0.1:7000/api/v2/node/setting\n\
         After an export do so again. Setting a node anew deletes what its offline cache holds: see first that it is connected\n\
         and nothing waits.\n",
        parameters = word(&of.path("parameters.json")),
    );
    let encoded = Zeroizing::new(Base64::encode_string(key.expose().as_bytes()));
    let parameters = Parameters {
        client_id: serial.as_str(),
        host,
        port: *port,
        ssl: true,
        ca: Base64::encode_string(of.roots_pem().as_bytes()),
        cert: Base64::encode_string(of.certificate_pem().as_bytes()),
        key: &encoded,
    };
    let mut json = Vec::with_capacity(PARAMETERS);
    // Nothing in it can fail to be written to memory.
    let _ = serde_json::to_writer(&mut json, &parameters);
    let (mut files, sheet) = program.made(sheet, "", IN_ITS_PLACE);
    files.push(File::secret("parameters.json", json));
    (files, sheet)
}

/// It tells files apart by how their names end, and documents that it reads RSA in PKCS#1 alone (docs.chariot.io, Servers,
/// Certificates).
pub(super) fn ignition(of: &Material, key: &PrivateKeyPem) -> Made {
    let Material { host, port, serial, .. } = of;
    let names = ["ca.pem", "cert.pem", "private.key"].map(|end| format!("{serial}-{end}"));
    let [root, certificate, key_file] = names.each_ref().map(String::as_str);
    let fits = key.expose().trim_start().starts_with("-----BEGIN RSA PRIVATE KEY-----");
    let note = if fits {
        ""
    } else {
        "NOTE  Cirrus Link documents that a private key must be RSA in PKCS#1, and this one is not: use the sidecar, or \
         let the service make the key (key_source = \"service\").\n"
    };
    let sheet = format!(
        "{note}URL         ssl://{host}:{port}\nclient id   {serial}\nUpload {root}, {certificate} and {key_file} in the server's settings; the \
         names must end as they do. After an export, upload them again.\n",
    );
    Plain::named(of, key, names).made(sheet, "", IN_ITS_PLACE)
}
