/** A pipe of bytes on loopback: it knows nothing of MQTT. It can be cut, and it can stand still. */
'use strict';

const net = require('node:net');

class Pipe {
    #pairs = new Set();
    #arrest;
    frozen = false;

    /** `open` makes the far side of a new connection. */
    static async start(open) {
        const pipe = new Pipe();
        pipe.server = net.createServer({ allowHalfOpen: true }, near => pipe.#join(near, open()));
        await new Promise((resolve, reject) => pipe.server.on('error', reject).listen(0, '127.0.0.1', resolve));
        pipe.port = pipe.server.address().port;
        return pipe;
    }

    /** Closes every connection, both sides. */
    cut() {
        for (const pair of this.#pairs) {
            pair.near.destroy();
            pair.far.destroy();
        }
    }

    /** Lets nothing pass from the moment on that the far side ends the connection that has brought it the most so far. */
    freezeWhenTheBusiestEnds() {
        this.#arrest = [...this.#pairs].sort((a, b) => b.far.bytesWritten - a.far.bytesWritten)[0];
    }

    /** Passes on again. What stood still is cut. */
    thaw() {
        this.frozen = false;
        this.cut();
    }

    async stop() {
        const closed = new Promise(resolve => this.server.close(resolve));
        this.cut();
        await closed;
    }

    #join(near, far) {
        const pair = { near, far };
        this.#pairs.add(pair);
        for (const [from, to] of [[near, far], [far, near]]) {
            from.setNoDelay(true);
            from.on('data', bytes => to.write(bytes));
            from.on('end', () => {
                if (pair === this.#arrest && from === far) {
                    this.#freeze(pair);
                }
                to.end();
            });
            from.on('error', () => to.destroy());
            from.on('close', () => { to.destroySoon(); this.#pairs.delete(pair); });
        }
        if (this.frozen) {
            near.pause();
            far.pause();
        }
    }

    #freeze(except) {
        this.#arrest = undefined;
        this.frozen = true;
        for (const pair of this.#pairs) {
            if (pair !== except) {
                pair.near.pause();
                pair.far.pause();
            }
        }
    }
}

module.exports = { Pipe };
