//! What a PLC's program configures its client with, in Structured Text.
//!
//! Names, types and the form of the initialisation are those of CODESYS's own documentation (AWSIoTClient in AWS IoT Core
//! Client SL, MQTTClient in MQTT Client SL, TLSContext and AsyncProperty in Net Base Services). No compiler of CODESYS has
//! seen it. Not here: what a client of the sidecar is told (`docs/codesys.md`).

use super::super::Material;
use super::prefix;

/// Both libraries' clients, on one TLS context.
pub(super) fn program(of: &Material) -> String {
    let Material { host, port, serial, .. } = of;
    let (host, name) = (quoted(host), of.certificate.common_name().unwrap_or_default());
    let prefix = quoted(prefix(of, &name).unwrap_or_default());
    let name = quoted(&name);
    format!(
        "(* The client of {serial}: as CODESYS documents its libraries, not compiled by fleetkey. The names of variables, of\n\
         \x20  the task and of the use case are yours; the use case is what the certificate manager shows. *)\n\
         VAR\n\
         \x20   xOnline : BOOL; (* FALSE, then TRUE: the certificate is looked for at each connection *)\n\
         \x20   sCommonName : STRING(255) := {name};\n\
         \x20   ciCertInfo : NBS.CERT_INFO := (psInfo := ADR(sCommonName), udiSize := LEN(sCommonName));\n\
         \x20   tlsContext : NBS.TLSContext := (\n\
         \x20       ePurpose := NBS.PURPOSE.CLIENT_SIDE,\n\
         \x20       sUseCaseName := 'AWSIoT',\n\
         \x20       sTLSVersion := '1.2',\n\
         \x20       sHostname := {host},\n\
         \x20       ciCertInfo := ciCertInfo,\n\
         \x20       udiVerificationMode := 2); (* its default, 1, checks nobody *)\n\
         \x20   (* A task of its own for the handshake, which takes longer than a cycle. *)\n\
         \x20   connecting : NBS.AsyncProperty := (tnTaskName := 'MqttConnect', usiTaskPrio := 20, udiTaskInterval := 10000);\n\
         \n\
         \x20   (* AWS IoT Core Client SL *)\n\
         \x20   awsClient : AWS_IOT.AWSIoTClient := (\n\
         \x20       sHostname := {host},\n\
         \x20       uiPort := {port},\n\
         \x20       sClientId := '{serial}',\n\
         \x20       uiKeepAlive := 30,\n\
         \x20       itfTLSContext := tlsContext,\n\
         \x20       itfAsyncProperty := connecting,\n\
         \x20       sCertCNPrefix := {prefix});\n\
         \n\
         \x20   (* or MQTT Client SL: letters and digits only in sClientId; the broker is {host} *)\n\
         \x20   mqttClient : MQTT.MQTTClient := (\n\
         \x20       uiPort := {port},\n\
         \x20       sClientId := '{serial}',\n\
         \x20       uiKeepAlive := 30,\n\
         \x20       xCleanSession := FALSE,\n\
         \x20       itfTLSContext := tlsContext);\n\
         END_VAR\n\
         \n\
         awsClient(xEnable := xOnline);\n",
    )
}

/// A STRING of Structured Text (IEC 61131-3: `$` makes the next character one of the text).
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('$', "$$").replace('\'', "$'"))
}
