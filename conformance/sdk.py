"""The AWS IoT Device SDK v2 for Python, as its samples use it, behind one shape for its two MQTT clients.

Nothing of the SDK is replaced. On a port other than 443 it does not ask for ALPN by itself, so there the
protocol is named in its own `TlsContextOptions`, which is what its documentation says to do. Its builders insist on a
certificate, so for an identity without one the clients are made as the builders make them, without TLS: for a sidecar.
"""

import queue
import uuid

import awscrt.io
import awscrt.mqtt
import awscrt.mqtt5
from awscrt.mqtt_request_response import ClientOptions as RequestResponseOptions
from awsiot import iotidentity, mqtt5_client_builder, mqtt_connection_builder

from conformance.process import BOUND

ALPN = "x-amzn-mqtt-ca"
QOS1 = awscrt.mqtt.QoS.AT_LEAST_ONCE


class Refused(Exception):
    """The broker said no, or closed the connection instead of answering."""


class Mqtt311:
    """`mqtt_connection_builder`: MQTT 3.1.1, and `IotIdentityClient` as most samples use it."""

    def __init__(self, core, identity, alpn=False):
        self.interruptions = 0
        if identity.certificate is None:
            self._connection = awscrt.mqtt.Connection(
                awscrt.mqtt.Client(awscrt.io.ClientBootstrap.get_or_create_static_default()), core.endpoint, core.mqtt_port,
                identity.client_id, keep_alive_secs=30, on_connection_interrupted=self._on_interruption)
            return
        port = core.alpn_port if alpn else core.mqtt_port
        common = dict(
            endpoint=core.endpoint, port=port, client_id=identity.client_id, clean_session=True,
            ca_filepath=str(core.root_ca), ping_timeout_ms=3000, keep_alive_secs=30,
        )
        if alpn and port != 443:
            self._connection = mqtt_connection_builder._builder(_named_alpn(identity), **common)
        else:
            self._connection = mqtt_connection_builder.mtls_from_path(
                cert_filepath=str(identity.certificate), pri_key_filepath=str(identity.key), **common)

    def __enter__(self):
        try:
            self._connection.connect().result(BOUND)
        except Exception as error:
            raise Refused(str(error)) from error
        return self

    def __exit__(self, *_):
        self._connection.disconnect().result(BOUND)

    def publish(self, topic, payload):
        """Publishes at QoS 1 and waits for the PUBACK."""
        future, _ = self._connection.publish(topic, payload, QOS1)
        future.result(BOUND)

    def subscribe(self, topic):
        """Subscribes at QoS 1; a queue of (topic, payload)."""
        messages = queue.Queue()

        def on_message(topic, payload, **_):
            messages.put((topic, bytes(payload)))

        future, _ = self._connection.subscribe(topic, QOS1, on_message)
        try:
            granted = future.result(BOUND)
        except Exception as error:
            raise Refused(str(error)) from error
        if granted.get("qos") is None:
            raise Refused(f"{topic}: the SUBACK grants nothing")
        return messages

    def _on_interruption(self, *_, **__):
        self.interruptions += 1

    def identity(self):
        """The provisioning operations over this connection."""
        return CallbackIdentity(iotidentity.IotIdentityClient(self._connection))


class Mqtt311RequestResponse(Mqtt311):
    """The same connection with `IotIdentityClientV2`, which subscribes, asks and matches the answer itself."""

    def identity(self):
        return FutureIdentity(iotidentity.IotIdentityClientV2(self._connection, _request_response()))


class Mqtt5:
    """`mqtt5_client_builder`: MQTT 5, and `IotIdentityClientV2`."""

    def __init__(self, core, identity, alpn=False):
        self._events = queue.Queue()
        self._messages = {}
        # The last PUBLISH that came, with its properties.
        self.packet = None
        self.interruptions = 0
        if identity.certificate is None:
            self._client = awscrt.mqtt5.Client(awscrt.mqtt5.ClientOptions(
                core.endpoint, core.mqtt_port, on_publish_callback_fn=self._on_message,
                connect_options=awscrt.mqtt5.ConnectPacket(client_id=identity.client_id, keep_alive_interval_sec=30),
                on_lifecycle_event_connection_success_fn=lambda data: self._events.put(("connected", data)),
                on_lifecycle_event_connection_failure_fn=lambda data: self._events.put(("refused", data)),
                on_lifecycle_event_disconnection_fn=self._on_interruption,
                on_lifecycle_event_stopped_fn=lambda data: self._events.put(("stopped", data))))
            return
        port = core.alpn_port if alpn else core.mqtt_port
        common = dict(
            endpoint=core.endpoint, port=port, client_id=identity.client_id,
            ca_filepath=str(core.root_ca), keep_alive_interval_sec=30,
            on_publish_received=self._on_message,
            on_lifecycle_connection_success=lambda data: self._events.put(("connected", data)),
            on_lifecycle_connection_failure=lambda data: self._events.put(("refused", data)),
            on_lifecycle_stopped=lambda data: self._events.put(("stopped", data)),
        )
        if alpn and port != 443:
            self._client = mqtt5_client_builder._builder(_named_alpn(identity), **common)
        else:
            self._client = mqtt5_client_builder.mtls_from_path(
                cert_filepath=str(identity.certificate), pri_key_filepath=str(identity.key), **common)

    def __enter__(self):
        self._client.start()
        event, data = self._events.get(timeout=BOUND)
        if event != "connected":
            self.__exit__()
            raise Refused(str(data.exception))
        return self

    def __exit__(self, *_):
        self._client.stop()
        while self._events.get(timeout=BOUND)[0] != "stopped":
            pass

    def publish(self, topic, payload):
        """Publishes at QoS 1 and waits for the PUBACK."""
        packet = awscrt.mqtt5.PublishPacket(
            topic=topic, payload=payload, qos=awscrt.mqtt5.QoS.AT_LEAST_ONCE)
        reason = self._client.publish(packet).result(BOUND).puback.reason_code
        if reason not in (awscrt.mqtt5.PubackReasonCode.SUCCESS,
                          awscrt.mqtt5.PubackReasonCode.NO_MATCHING_SUBSCRIBERS):
            raise Refused(f"{topic}: PUBACK {reason}")

    def subscribe(self, topic):
        """Subscribes at QoS 1; a queue of (topic, payload)."""
        self._messages[topic] = queue.Queue()
        packet = awscrt.mqtt5.SubscribePacket([awscrt.mqtt5.Subscription(topic, awscrt.mqtt5.QoS.AT_LEAST_ONCE)])
        (reason,) = self._client.subscribe(packet).result(BOUND).reason_codes
        if reason >= 0x80:
            raise Refused(f"{topic}: SUBACK {reason}")
        return self._messages[topic]

    def identity(self):
        """The provisioning operations over this client."""
        return FutureIdentity(iotidentity.IotIdentityClientV2(self._client, _request_response()))

    def _on_interruption(self, _):
        self.interruptions += 1

    def _on_message(self, data):
        packet = self.packet = data.publish_packet
        if packet.topic in self._messages:
            self._messages[packet.topic].put((packet.topic, bytes(packet.payload or b"")))


class CallbackIdentity:
    """`IotIdentityClient`: subscribe to both answers, publish, take whichever comes."""

    def __init__(self, client):
        self._client = client

    def create_keys(self):
        """CreateKeysAndCertificate."""
        return self._ask(
            "create_keys_and_certificate",
            iotidentity.CreateKeysAndCertificateSubscriptionRequest(),
            iotidentity.CreateKeysAndCertificateRequest(),
        )

    def create_from_csr(self, csr):
        """CreateCertificateFromCsr."""
        return self._ask(
            "create_certificate_from_csr",
            iotidentity.CreateCertificateFromCsrSubscriptionRequest(),
            iotidentity.CreateCertificateFromCsrRequest(certificate_signing_request=csr),
        )

    def register(self, template, token, parameters):
        """RegisterThing."""
        return self._ask(
            "register_thing",
            iotidentity.RegisterThingSubscriptionRequest(template_name=template),
            iotidentity.RegisterThingRequest(
                template_name=template, certificate_ownership_token=token, parameters=parameters),
        )

    def _ask(self, operation, subscription, request):
        answers = queue.Queue()
        for outcome in ["accepted", "rejected"]:
            subscribe = getattr(self._client, f"subscribe_to_{operation}_{outcome}")
            future, _ = subscribe(subscription, QOS1, lambda answer, outcome=outcome: answers.put((outcome, answer)))
            try:
                future.result(BOUND)
            except Exception as error:
                raise Refused(str(error)) from error
        getattr(self._client, f"publish_{operation}")(request, QOS1).result(BOUND)
        outcome, answer = answers.get(timeout=BOUND)
        if outcome == "rejected":
            raise Rejection(answer)
        return answer


class FutureIdentity:
    """`IotIdentityClientV2`: one future an operation."""

    def __init__(self, client):
        self._client = client

    def create_keys(self):
        """CreateKeysAndCertificate."""
        return self._ask(self._client.create_keys_and_certificate, iotidentity.CreateKeysAndCertificateRequest())

    def create_from_csr(self, csr):
        """CreateCertificateFromCsr."""
        request = iotidentity.CreateCertificateFromCsrRequest(certificate_signing_request=csr)
        return self._ask(self._client.create_certificate_from_csr, request)

    def register(self, template, token, parameters):
        """RegisterThing."""
        request = iotidentity.RegisterThingRequest(
            template_name=template, certificate_ownership_token=token, parameters=parameters)
        return self._ask(self._client.register_thing, request)

    def _ask(self, operation, request):
        try:
            return operation(request).result(BOUND)
        except Exception as error:
            answer = getattr(error, "modeled_error", None)
            if answer is None:
                raise Refused(f"{error}: {getattr(error, 'inner_error', None)}") from error
            raise Rejection(answer) from error


class Rejection(Exception):
    """The `rejected` answer, as the SDK read it."""

    def __init__(self, answer):
        super().__init__(f"{answer.status_code} {answer.error_code}: {answer.error_message}")
        self.status_code = answer.status_code
        self.error_code = answer.error_code
        self.error_message = answer.error_message


def unique(prefix):
    """A serial or a client id that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def _named_alpn(identity):
    options = awscrt.io.TlsContextOptions.create_client_with_mtls_from_path(
        str(identity.certificate), str(identity.key))
    options.alpn_list = [ALPN]
    return options


def _request_response():
    return RequestResponseOptions(
        max_request_response_subscriptions=4, max_streaming_subscriptions=2, operation_timeout_in_seconds=BOUND)
