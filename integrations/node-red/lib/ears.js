/**
 * Why a broker's connection fails: Node-RED keeps that to itself (its log says "Connection failed to broker" and no more),
 * MQTT.js tells whoever listens. One pair of listeners a client, taken off again with the plugin.
 */
'use strict';

class Ears {
    #on = new Map();

    /** @param {(node: object, why: string | null) => void} tell `null`: it is connected */
    constructor(tell) {
        this.tell = tell;
    }

    /** Listens to the clients that these broker nodes have now, and to no others. */
    open(nodes) {
        for (const [node, { client }] of this.#on) {
            if (!nodes.includes(node) || node.client !== client) {
                this.#close(node);
            }
        }
        for (const node of nodes) {
            if (node.client && !this.#on.has(node)) {
                const { client } = node;
                const failed = error => this.tell(node, error.message || String(error));
                const connected = () => this.tell(node, null);
                client.on('error', failed).on('connect', connected);
                this.#on.set(node, { client, failed, connected });
            }
        }
    }

    close() {
        [...this.#on.keys()].forEach(node => this.#close(node));
    }

    #close(node) {
        const { client, failed, connected } = this.#on.get(node);
        client.off('error', failed).off('connect', connected);
        this.#on.delete(node);
    }
}

module.exports = { Ears };
