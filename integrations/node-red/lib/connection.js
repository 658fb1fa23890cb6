/**
 * What a broker's connection is on, told by its socket, and what its next one will be on.
 *
 * MQTT.js keeps its options and uses them at each connect (MQTT.js issue 916), Node-RED keeps its own for the next
 * client, and the tls-config node has what brokers take when they alone are deployed: all three must agree.
 */
'use strict';

const { certificateId } = require('./identity');

/**
 * @param {object} broker a live mqtt-broker node
 * @returns {boolean} whether messages can pass
 */
function isConnected(broker) {
    return Boolean(broker.connected && broker.client?.connected);
}

/**
 * The certificate that the live socket presents, which neither files nor options can tell.
 *
 * @returns {string | null} certificate id; null without a connection or when it is not TLS over TCP
 */
function liveCertificate(broker) {
    const stream = broker.client?.stream;
    if (!isConnected(broker) || typeof stream?.getX509Certificate !== 'function') {
        return null;
    }
    const certificate = stream.getX509Certificate();
    return certificate ? certificateId(certificate.raw) : null;
}

/** Whether this is a connection that can be moved: mqtts with an MQTT.js client of the kind we know. */
function isMovable(client) {
    return client?.options?.protocol === 'mqtts'
        && ['_writePacket', '_reconnect', '_destroyKeepaliveManager'].every(name => typeof client[name] === 'function')
        && typeof client.outgoing === 'object'
        && typeof client.stream?.unpipe === 'function';
}

/** The pair that the next connection takes. */
function nextPair(client) {
    return { cert: client.options.cert, key: client.options.key };
}

/** Has the next connection take this pair, and the roots if Node-RED could not read them. */
function setNextPair(broker, { cert, key, ca }) {
    for (const options of [broker.options, broker.client?.options]) {
        if (options) {
            Object.assign(options, { cert, key }, options.ca ? {} : { ca });
        }
    }
}

/** Has brokers that are deployed without their tls-config node take this pair. */
function setTlsPair(tls, { cert, key, ca }) {
    Object.assign(tls, { cert, key, valid: true }, tls.ca ? {} : { ca });
}

module.exports = { isConnected, isMovable, liveCertificate, nextPair, setNextPair, setTlsPair };
