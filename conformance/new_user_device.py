"""The device's half of the new user's scripts, with awsiotsdk: provision, rotate, talk.

    new_user_device.py ENDPOINT provision SERIAL CERTIFICATE KEY NAME [CLIENT_ID]
    new_user_device.py ENDPOINT talk THING CERTIFICATE KEY

`provision` writes NAME.cert.pem and NAME.key.pem into the current directory and prints the certificate's id. Knows nothing
of fleetkey: port and root CA come from FLEETKEY_MQTT_PORT and FLEETKEY_ROOT_CA, which on AWS are 8883 and Amazon's.
"""

import concurrent.futures
import os
import pathlib
import sys

from awscrt import mqtt
from awscrt.mqtt_request_response import ClientOptions
from awsiot import iotidentity, mqtt_connection_builder

BOUND = 20


class Device:
    """Connects to `endpoint`, keeps its files in `directory`; an identity is a certificate's file, a key's and an id."""

    def __init__(self, endpoint, directory):
        self.endpoint, self.directory = endpoint, pathlib.Path(directory)

    def provision(self, serial, claim, name, client_id=None):
        """A new certificate for `serial`, over the connection of `claim`."""
        connection = self.connect(client_id or f"claim-{serial}", claim)
        client = iotidentity.IotIdentityClientV2(connection, ClientOptions(
            max_request_response_subscriptions=4, max_streaming_subscriptions=2, operation_timeout_in_seconds=BOUND))
        try:
            made = client.create_keys_and_certificate(iotidentity.CreateKeysAndCertificateRequest()).result(BOUND)
            answer = client.register_thing(iotidentity.RegisterThingRequest(
                template_name="CertRotationTemplate", certificate_ownership_token=made.certificate_ownership_token,
                parameters={"SerialNumber": serial})).result(BOUND)
        finally:
            connection.disconnect().result(BOUND)
        assert answer.thing_name == serial and answer.device_configuration == {"interval": "60"}, answer
        return {"id": made.certificate_id, **self.save(name, made.certificate_pem, made.private_key)}

    def rotate(self, thing, identity, name):
        """The next certificate, over the connection of the one before."""
        return self.provision(thing, identity, name, client_id=thing)

    def talk(self, thing, identity):
        """Publishes to its own topic and hears itself."""
        connection = self.connect(thing, identity)
        try:
            heard = concurrent.futures.Future()
            topic = f"device/{thing}/data"
            subscribed, _ = connection.subscribe(
                topic, mqtt.QoS.AT_LEAST_ONCE, lambda topic, payload, **_: heard.set_result(payload))
            subscribed.result(BOUND)
            connection.publish(topic, b"21.5", mqtt.QoS.AT_LEAST_ONCE)[0].result(BOUND)
            assert heard.result(BOUND) == b"21.5"
        finally:
            connection.disconnect().result(BOUND)

    def connect(self, client_id, identity):
        connection = mqtt_connection_builder.mtls_from_path(
            endpoint=self.endpoint, port=int(os.environ.get("FLEETKEY_MQTT_PORT", "8883")), client_id=client_id,
            clean_session=True, keep_alive_secs=30, cert_filepath=identity["certificate"],
            pri_key_filepath=identity["key"], ca_filepath=os.environ.get("FLEETKEY_ROOT_CA", "AmazonRootCA1.pem"))
        connection.connect().result(BOUND)
        return connection

    def save(self, name, certificate, key):
        files = {"certificate": str(self.directory / f"{name}.cert.pem"), "key": str(self.directory / f"{name}.key.pem")}
        for path, text in zip(files.values(), [certificate, key]):
            with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
                file.write(text)
        return files


def main(endpoint, command, name, certificate, key, *rest):
    device, identity = Device(endpoint, "."), {"certificate": certificate, "key": key}
    if command == "talk":
        device.talk(name, identity)
    else:
        print(device.provision(name, identity, *rest)["id"])


if __name__ == "__main__":
    main(*sys.argv[1:])
