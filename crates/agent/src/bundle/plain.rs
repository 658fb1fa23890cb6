//! Programs that read PEM files and are libraries, or made with one: the names they go by, and what to configure.
//!
//! What each does when the files change was measured (libmosquitto 2.0.11, Paho C 1.3.12, Paho for Python 2.2.0, AWS IoT
//! Device SDK v2): the first two read them at each connection, the others when they begin; none looks by itself. Names of
//! options are those of the programs' documentation. Not here: programs with a configuration file ([`super::gateways`]).

use fleetkey_model::secret::PrivateKeyPem;

use super::{File, Material, retirement};

pub(super) type Made = (Vec<File>, String);

/// How a program says a line that it could publish like any other.
const ITSELF: &str = "have it publish on that connection";

/// A program's three files, and what snippets say of them.
pub(super) struct Plain<'a> {
    pub(super) of: &'a Material,
    key: &'a PrivateKeyPem,
    /// Roots, certificate, key.
    names: [String; 3],
}

impl<'a> Plain<'a> {
    pub(super) fn new(of: &'a Material, key: &'a PrivateKeyPem) -> Self {
        Self::named(of, key, ["ca.pem", "cert.pem", "key.pem"].map(str::to_owned))
    }

    pub(super) fn named(of: &'a Material, key: &'a PrivateKeyPem, names: [String; 3]) -> Self {
        Self { of, key, names }
    }

    /// Where roots, certificate and key will be.
    pub(super) fn paths(&self) -> [String; 3] {
        self.names.each_ref().map(|name| self.of.path(name))
    }

    /// What `mosquitto_pub` and its kin are told to be this program; its session is kept (`-c`).
    pub(super) fn mosquitto_options(&self) -> String {
        let Material { host, port, serial, .. } = self.of;
        let [ca, certificate, key] = self.paths().map(|path| word(&path));
        format!("-h {host} -p {port} -i {serial} -c --cafile {ca} --cert {certificate} --key {key}")
    }

    /// The files, and the sheet with its end: see [`retirement::lines`].
    pub(super) fn made(&self, sheet: String, mark: &str, how: &str) -> Made {
        let [root, certificate, key] = self.names.each_ref().map(String::as_str);
        let files = vec![
            File::public(root, self.of.roots_pem()),
            // The key first: a reader that comes between fails and comes again, whichever it meets.
            File::secret(key, self.key.expose()),
            File::public(certificate, self.of.certificate_pem()),
        ];
        (files, sheet + &retirement::lines(self, mark, how))
    }

    /// The same where the sheet is a configuration file, which is written as well.
    pub(super) fn configured(&self, name: &str, sheet: String, mark: &str, how: &str) -> Made {
        let (mut files, sheet) = self.made(sheet, mark, how);
        files.push(File::public(name, sheet.clone()));
        (files, sheet)
    }
}

/// One word of a shell's.
pub(super) fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@=,".contains(c);
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

pub(super) fn paho(of: &Material, key: &PrivateKeyPem) -> Made {
    let program = Plain::new(of, key);
    let Material { host, port, serial, .. } = of;
    let [ca, certificate, key] = program.paths();
    let sheet = format!(
        "server      ssl://{host}:{port}\nclient id   {serial}\nclean       false\n\
         trustStore  {ca}\nkeyStore    {certificate}\nprivateKey  {key}\n\
         Paho C reads the files at each connection: after an export, drop the connection and connect.\n",
    );
    program.made(sheet, "", ITSELF)
}

/// Without a clean session: one that was kept outlives the reconnect that takes up the new files.
pub(super) fn libmosquitto(of: &Material, key: &PrivateKeyPem) -> Made {
    let program = Plain::new(of, key);
    let Material { host, port, serial, topic_root, .. } = of;
    let [ca, certificate, key] = program.paths();
    let sheet = format!(
        "In C:\n\
         \x20 struct mosquitto *m = mosquitto_new(\"{serial}\", false, NULL);\n\
         \x20 mosquitto_tls_set(m, {ca:?}, NULL, {certificate:?}, {key:?}, NULL);\n\
         \x20 mosquitto_connect(m, \"{host}\", {port}, 60);\n\
         By hand:\n\
         \x20 mosquitto_sub {options} -q 1 -t '{topic_root}/{serial}/commands/#'\n\
         It reads the files at each connection: after an export, mosquitto_reconnect(m).\n",
        options = program.mosquitto_options(),
    );
    program.made(sheet, "", ITSELF)
}

/// The context that a client holds reads nothing again by itself, but takes a new pair while it lives.
pub(super) fn paho_python(of: &Material, key: &PrivateKeyPem) -> Made {
    let program = Plain::new(of, key);
    let Material { host, port, serial, .. } = of;
    let [ca, certificate, key] = program.paths();
    let sheet = format!(
        "import ssl\n\
         import paho.mqtt.client as mqtt\n\n\
         context = ssl.create_default_context(cafile={ca:?})\n\
         context.load_cert_chain({certificate:?}, {key:?})\n\
         client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=\"{serial}\", clean_session=False)\n\
         client.tls_set_context(context)\n\
         client.connect(\"{host}\", {port})\n\n\
         # After an export: the context that the client holds takes the new pair, the next connection uses it.\n\
         # Not disconnect(), which would end the session.\n\
         # context.load_cert_chain({certificate:?}, {key:?})\n\
         # client.reconnect()\n\n",
    );
    program.made(sheet, "# ", ITSELF)
}

/// The builder reads the files once, and what it has built cannot be changed (the SDKs' MQTT 5 user guides). Three
/// languages of one library; Python, so that the sheet runs as it stands.
pub(super) fn aws_sdk(of: &Material, key: &PrivateKeyPem) -> Made {
    let program = Plain::new(of, key);
    let Material { host, port, serial, .. } = of;
    let [ca, certificate, key] = program.paths();
    let sheet = format!(
        "from awscrt import mqtt5\n\
         from awsiot import mqtt5_client_builder\n\n\
         # The session is kept for an hour, for the client that takes this one's place.\n\
         client = mqtt5_client_builder.mtls_from_path(\n\
         \x20   cert_filepath={certificate:?},\n\
         \x20   pri_key_filepath={key:?},\n\
         \x20   ca_filepath={ca:?},\n\
         \x20   endpoint=\"{host}\", port={port}, client_id=\"{serial}\",\n\
         \x20   session_behavior=mqtt5.ClientSessionBehaviorType.REJOIN_ALWAYS, session_expiry_interval_sec=3600)\n\
         client.start()\n\n\
         # A client keeps the pair that it was built with, reconnects included. After an export: client.stop(), wait for\n\
         # the event Stopped, build another client as above, start it; publish again what was not acknowledged.\n\n\
         # C++:\n\
         # auto builder = Aws::Iot::Mqtt5ClientBuilder::CreateMqtt5ClientBuilderWithMtlsFromPath(\n\
         #     \"{host}\", {certificate:?}, {key:?});\n\
         # builder->WithCertificateAuthority({ca:?});\n\
         # builder->WithPort({port});\n\
         # auto connect = Aws::Crt::MakeShared<Aws::Crt::Mqtt5::ConnectPacket>(Aws::Crt::DefaultAllocatorImplementation());\n\
         # connect->WithClientId(\"{serial}\").WithSessionExpiryIntervalSec(3600);\n\
         # builder->WithConnectOptions(connect);\n\
         # builder->WithSessionBehavior(Aws::Crt::Mqtt5::ClientSessionBehaviorType::AWS_MQTT5_CSBT_REJOIN_ALWAYS);\n\
         # auto client = builder->Build();\n\n\
         # Java:\n\
         # AwsIotMqtt5ClientBuilder builder = AwsIotMqtt5ClientBuilder.newDirectMqttBuilderWithMtlsFromPath(\n\
         #     \"{host}\", {certificate:?}, {key:?});\n\
         # builder.withCertificateAuthorityFromPath(null, {ca:?}).withPort({port}L);\n\
         # builder.withClientId(\"{serial}\").withSessionExpiryIntervalSeconds(3600L);\n\
         # builder.withSessionBehavior(Mqtt5ClientOptions.ClientSessionBehavior.REJOIN_ALWAYS);\n\
         # Mqtt5Client client = builder.build();\n\n",
    );
    program.made(sheet, "# ", ITSELF)
}
