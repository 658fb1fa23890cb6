/** MQTT.js, the client in Node-RED, in plain MQTT to a sidecar; and numbers that one client says and another hears. */
'use strict';

const mqtt = require('mqtt');

/** Milliseconds between two looks at what is due. */
const TICK = 10;

/**
 * A local client, connected. Whoever gives no `reconnectPeriod` wants to know of every close, in `closes`.
 *
 * @param {number} port the sidecar's
 * @param {{protocolVersion: number, clean: boolean, will: string, reconnectPeriod?: number}} options
 */
async function local(port, { protocolVersion, clean, will, reconnectPeriod = 0 }) {
    const persistent = protocolVersion === 5 && !clean ? { properties: { sessionExpiryInterval: 3600 } } : {};
    const client = await mqtt.connectAsync({ protocol: 'mqtt', host: '127.0.0.1', port, clientId: 'local', protocolVersion, clean, keepalive: 300,
        reconnectPeriod, will: { topic: will, payload: 'dead', qos: 1, retain: false }, ...persistent });
    client.closes = 0;
    client.on('close', () => { client.closes += 1; });
    client.on('error', () => { /* The close that follows is counted. */ });
    return client;
}

/** Says 1, 2, 3… on a topic, `rate` a second, until it is told to end. */
class Speaker {
    said = 0;
    answered = 0;

    /** @param {{qos: number, rate: number, window?: number}} options `window` is how many may be unanswered */
    constructor(client, topic, { qos, rate, window = Infinity }) {
        Object.assign(this, { client, topic, qos, window });
        this.began = performance.now();
        this.timer = setInterval(() => this.#due(rate), TICK);
    }

    /** Ends with one more number, at QoS 1 at least, so that whoever hears it has heard all that was not lost. */
    end() {
        clearInterval(this.timer);
        this.rate = Math.round(this.said * 1000 / (performance.now() - this.began));
        this.#say(Math.max(this.qos, 1));
        return this.said;
    }

    stop() {
        clearInterval(this.timer);
    }

    #due(rate) {
        const due = Math.floor((performance.now() - this.began) * rate / 1000);
        while (this.said < due && this.said - this.answered < this.window) {
            this.#say(this.qos);
        }
    }

    #say(qos) {
        this.said += 1;
        this.client.publish(this.topic, String(this.said), { qos }, () => { this.answered += 1; });
    }
}

/** The numbers that a client hears, by topic, in their order. */
class Ear {
    #heard = new Map();

    constructor(client) {
        client.on('message', (topic, payload) => this.on(topic).push(Number(payload)));
    }

    on(topic) {
        if (!this.#heard.has(topic)) {
            this.#heard.set(topic, []);
        }
        return this.#heard.get(topic);
    }
}

module.exports = { Ear, Speaker, local };
