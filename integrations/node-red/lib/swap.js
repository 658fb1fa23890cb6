/**
 * Replaces one broker's connection by one on another certificate.
 *
 * Publishing is held, what is on its way is answered, DISCONNECT is written (so no will is published), and the same
 * client connects again with the same client id. Its stores stay, so what was not acknowledged is sent again with DUP.
 * If the new certificate is not taken, the old one connects again after a second: AWS allows a client id one CONNECT a
 * second ("AWS IoT Core message broker and protocol limits and quotas").
 *
 * Uses what MQTT.js does not promise (`outgoing`, `stream`, `_writePacket`, `_reconnect`): `isMovable` looks first.
 */
'use strict';

const { setImmediate: turn, setTimeout: delay } = require('node:timers/promises');

const { nextPair, setNextPair } = require('./connection');
const { Hold } = require('./hold');

/** How long a server may take to close after DISCONNECT, in milliseconds. */
const CLOSE = 1000;
/** How far apart two CONNECTs of one client id must be, in milliseconds. */
const CONNECT_SPACING = 1100;
/** By when Node-RED has published the birth message, in milliseconds. */
const BIRTH = 5;

/**
 * @typedef {object} Swapped
 * @property {'swapped' | 'refused' | 'lost' | 'interrupted'} outcome `refused`: back on the certificate before;
 *     `lost`: neither is connected; `interrupted`: somebody else disconnected the broker
 * @property {string} [why] unless it is swapped
 * @property {number} milliseconds how long publishing was held
 * @property {number} held messages that waited
 * @property {number} refused messages that were given back with an error
 */

/**
 * @param {object} broker a live, connected mqtt-broker node whose client `isMovable`
 * @param {import('./identity').Identity} identity
 * @param {{drain: number, connect: number, queue: number}} limits
 * @returns {Promise<Swapped>}
 */
async function swap(broker, identity, limits) {
    const begun = performance.now();
    const hold = new Hold(broker, limits.queue);
    let end;
    try {
        end = await replace(broker, identity, limits, hold);
    } finally {
        hold.release();
    }
    const milliseconds = Math.round(performance.now() - begun);
    return { ...end, milliseconds, held: hold.held, refused: hold.refused };
}

async function replace(broker, identity, limits, hold) {
    const { client } = broker;
    const before = nextPair(client);
    await drained(client, limits.drain, hold);
    if (hold.interrupted) {
        return { outcome: 'interrupted' };
    }
    setNextPair(broker, identity);
    await part(client, hold);
    const why = hold.interrupted ? undefined : await redial(client, limits.connect, hold);
    if (hold.interrupted) {
        return { outcome: 'interrupted' };
    }
    if (why === undefined) {
        await born(broker);
        return { outcome: 'swapped' };
    }
    setNextPair(broker, before);
    await delay(CONNECT_SPACING);
    const again = hold.interrupted ? undefined : await redial(client, limits.connect, hold);
    if (hold.interrupted) {
        return { outcome: 'interrupted' };
    }
    return { outcome: again === undefined ? 'refused' : 'lost', why };
}

/** Waits until nothing that was sent lacks its acknowledgement, or the time is over. */
async function drained(client, milliseconds, hold) {
    const deadline = performance.now() + milliseconds;
    while (client.connected && !hold.interrupted && Object.keys(client.outgoing).length > 0 && performance.now() < deadline) {
        await delay(2);
    }
}

/** Ends the connection as a client does that means it, and waits until it is closed. */
async function part(client, hold) {
    if (!client.connected) {
        return;
    }
    const { stream } = client;
    // What arrives from here on could not be acknowledged any more, so it must not be delivered: the broker sends it again.
    stream.unpipe();
    await turn();
    if (!client.connected || hold.interrupted) {
        return;
    }
    const closed = closing(client);
    client._destroyKeepaliveManager();
    client._writePacket({ cmd: 'disconnect' });
    // From here on MQTT.js queues what a flow subscribes to.
    client.connected = false;
    stream.end();
    stream.resume();
    const timer = setTimeout(() => stream.destroy(), CLOSE);
    await closed;
    clearTimeout(timer);
}

/**
 * Connects again at once.
 *
 * @returns {Promise<string | undefined>} why it failed
 */
async function redial(client, milliseconds, hold) {
    if (client.connected) {
        return undefined;
    }
    const outcome = settled(client, milliseconds);
    try {
        client._reconnect();
    } catch (error) {
        client.emit('error', error);
    }
    const why = await outcome;
    if (why !== undefined && !hold.interrupted) {
        await cut(client);
    }
    return why;
}

/** The first of: connected, an error, closed, too late. */
function settled(client, milliseconds) {
    return new Promise(resolve => {
        const events = {
            connect: () => finish(undefined),
            error: error => finish(error.message || String(error)),
            close: () => finish('the broker closed the connection'),
        };
        const timer = setTimeout(() => finish(`no answer for ${milliseconds} ms`), milliseconds);
        const finish = why => {
            clearTimeout(timer);
            Object.entries(events).forEach(([event, handler]) => client.removeListener(event, handler));
            resolve(why);
        };
        Object.entries(events).forEach(([event, handler]) => client.on(event, handler));
    });
}

/** Makes sure that nothing of a failed attempt lives on. */
async function cut(client) {
    const { stream } = client;
    if (stream.closed) {
        return;
    }
    const closed = closing(stream);
    stream.destroy();
    await closed;
}

/** The event `close`, whatever errors come before it. */
function closing(emitter) {
    return new Promise(resolve => emitter.once('close', resolve));
}

/** Lets Node-RED's birth message come before what waited. */
async function born(broker) {
    if (broker.birthMessage) {
        await delay(BIRTH);
    }
}

module.exports = { CONNECT_SPACING, swap };
