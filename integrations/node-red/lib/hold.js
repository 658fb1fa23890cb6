/**
 * Holds a broker still while its connection is replaced: what flows publish waits in a queue, what would turn their
 * status red is not told, and whoever wants the broker disconnected gets it at once.
 *
 * Node-RED's own `publish` drops every message while it is disconnected, of any QoS, and never says so; hence the queue.
 */
'use strict';

/** What Node-RED does at these events is for a connection that is lost. */
const LOSS = ['close', 'reconnect', 'disconnect'];

class Hold {
    #queue = [];
    #detached;
    #publish;
    #disconnect;

    /** Flows or a message asked for a disconnect meanwhile: the broker is not ours any more. */
    interrupted = false;
    /** Messages that waited. */
    held = 0;
    /** Messages that were refused, with an error to their node. */
    refused = 0;

    /**
     * @param {object} broker a live, connected mqtt-broker node
     * @param {number} room how many messages may wait
     */
    constructor(broker, room) {
        this.broker = broker;
        this.client = broker.client;
        this.room = room;
        this.#publish = broker.publish;
        this.#disconnect = broker.disconnect;
        this.#detached = broker.clientListeners.filter(({ event }) => LOSS.includes(event));
        for (const { event, handler } of this.#detached) {
            this.client.removeListener(event, handler);
        }
        broker.publish = (message, done) => this.#enqueue(message, done);
        broker.disconnect = callback => this.#interrupt(callback);
    }

    /** Gives the broker back, and sends what waited in the order in which it came. */
    release() {
        if (this.interrupted) {
            return;
        }
        this.#restore();
        if (this.client.connected) {
            this.#queue.forEach(({ message, done }) => this.broker.publish(message, done));
            return;
        }
        // Lost after all: now Node-RED hears of it, and the messages' nodes too.
        for (const { event, handler } of this.#detached) {
            if (event === 'close') {
                handler();
            }
        }
        this.#refuseAll('the broker could not be reached again');
    }

    #enqueue(message, done) {
        if (this.#queue.length >= this.room) {
            this.#refuse({ message, done }, `more than ${this.room} messages waited for the broker`);
            return;
        }
        this.held += 1;
        // Subscribers take what follows a birth as belonging to it.
        const first = message === this.broker.birthMessage;
        this.#queue[first ? 'unshift' : 'push']({ message, done });
    }

    #interrupt(callback) {
        this.interrupted = true;
        this.#restore();
        // What Node-RED publishes on its way out would wait for a connection that nobody makes.
        this.broker.connected = this.client.connected;
        this.#refuseAll('the broker was disconnected');
        return this.broker.disconnect(callback);
    }

    #restore() {
        this.broker.publish = this.#publish;
        this.broker.disconnect = this.#disconnect;
        for (const { event, handler } of this.#detached) {
            this.client.on(event, handler);
        }
    }

    #refuseAll(why) {
        this.#queue.splice(0).forEach(entry => this.#refuse(entry, why));
    }

    #refuse({ message, done }, why) {
        this.refused += 1;
        const error = new Error(`not published: ${why}`);
        if (done) {
            done(error);
        } else {
            this.broker.error(error, message);
        }
    }
}

module.exports = { Hold };
