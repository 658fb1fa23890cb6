/**
 * Says, as the thing, that what its certificate supersedes may be retired, where its agent cannot: an agent that leaves the
 * thing's session to Node-RED (`[session] live = false`) waits for that word, and the controller takes it from that session
 * alone.
 *
 * It is said when the agent waits for it, and on a connection whose own socket presents the certificate that the agent has
 * committed; never from an outbox that could carry it to another connection. The broker adds which certificate said it, so
 * that nobody has to believe us. Not here: whether anything *is* retired, which the controller decides and tells the agent.
 */
'use strict';

const { retireRequest, socketOf, statusOf } = require('./agent');
const { isConnected, isMovable, liveCertificate } = require('./connection');

/** No request is repeated later than this after the last one, in milliseconds. */
const LONGEST_WAIT = 60 * 60 * 1000;
/** A broker that does not let a client publish closes its connection; one that ends so soon after, in milliseconds, may be such a one. */
const SOON = 2000;

/**
 * @typedef {object} Said
 * @property {string} rotation
 * @property {string} certificate_id what said it
 * @property {number} times
 * @property {string} at when last, ISO 8601
 */

class Retirement {
    /** By tls-config id: whether its agent is being asked, when it is asked next, and what was said. */
    #matters = new Map();
    #log;

    /**
     * @param {{agent: number, retireAgain: number}} settings milliseconds between two questions to the agent, and from the
     *     first to the second request of a rotation, which doubles up to an hour
     * @param {{log: (level: string, text: string) => void, say: (subject: string, level: string, text: string | null) => void}} log
     *     `say` logs what is said of a subject when it is news; `null`: nothing is to be said any more
     */
    constructor(settings, log) {
        this.settings = settings;
        this.#log = log;
    }

    /** Forgets everything. Questions that are out are answered to nobody. */
    close() {
        this.#matters.clear();
    }

    /** @returns {Said | null} what was said last for the files of this tls-config */
    said(id) {
        return this.#matters.get(id)?.said ?? null;
    }

    /**
     * Has the agent of these files asked, if it is time and a connection is on them.
     *
     * @param {import('./followed').Followed} tls
     * @param {string} certificateId what the files hold
     * @returns {Promise<void>} for whoever wants to know when it was asked; nobody has to wait
     */
    async consider(tls, certificateId) {
        const matter = this.#matters.get(tls.id) ?? { asking: false, due: 0, said: null, wait: 0, until: 0 };
        this.#matters.set(tls.id, matter);
        if (matter.asking || Date.now() < matter.due || !voice(tls, certificateId)) {
            return;
        }
        matter.asking = true;
        try {
            const status = await statusOf(socketOf(tls.certificate));
            this.#log.say(`${tls.id} agent`, 'warn', null);
            if (this.#matters.get(tls.id) === matter && status) {
                this.#answered(tls, certificateId, matter, status);
            }
        } catch (error) {
            const socket = socketOf(tls.certificate);
            this.#log.say(`${tls.id} agent`, 'warn', `the agent at ${socket} cannot be asked whether a retirement waits: ${error.message}`);
        } finally {
            matter.asking = false;
            matter.due = Date.now() + this.settings.agent;
        }
    }

    /** From here to what is written on the connection nothing is waited for: what was looked at is still so. */
    #answered(tls, certificateId, matter, status) {
        if (status.state !== 'retiring' || typeof status.rotation !== 'string' || status.certificate !== certificateId) {
            return;
        }
        const again = matter.said?.rotation === status.rotation;
        const broker = voice(tls, certificateId, status.thing);
        if (!broker || (again && Date.now() < matter.until)) {
            return;
        }
        matter.wait = again ? Math.min(matter.wait * 2, LONGEST_WAIT) : this.settings.retireAgain;
        matter.until = Date.now() + matter.wait;
        const times = again ? matter.said.times + 1 : 1;
        matter.said = { rotation: status.rotation, certificate_id: certificateId, times, at: new Date().toISOString() };
        this.#publish(broker, status);
    }

    #publish({ id, name, node: { client } }, status) {
        const { topic, payload } = retireRequest(status);
        const { stream } = client;
        // QoS 0, straight into this connection: MQTT.js would keep QoS 1 and send it again on whatever comes next, and to a
        // broker that closes the connection over it again and again.
        client._writePacket({ cmd: 'publish', topic, payload, qos: 0, dup: false, retain: false });
        const label = `broker ${name || id}`;
        this.#log.log('info', `${label}: asked on certificate ${status.certificate} for what is older to be retired (${status.rotation})`);
        const ended = () => {
            if (!client.disconnecting) {
                this.#log.log('warn', `${label}: the connection ended right after that; does the policy allow publishing on ${topic}?`);
            }
        };
        stream.once('close', ended);
        setTimeout(() => stream.off('close', ended), SOON).unref();
    }
}

/**
 * The broker node whose connection may say it: on this certificate by its own socket, as this thing, while no other connection
 * that uses these files is on another certificate.
 *
 * @returns {{id: string, name: string, node: object} | undefined}
 */
function voice({ brokers }, certificateId, thing) {
    const connected = brokers.filter(({ node }) => isConnected(node));
    if (connected.some(({ node }) => liveCertificate(node) !== certificateId)) {
        return undefined;
    }
    return connected.find(({ node }) => isMovable(node.client) && (thing === undefined || node.client.options.clientId === thing));
}

module.exports = { Retirement };
