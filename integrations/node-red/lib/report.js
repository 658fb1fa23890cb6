/**
 * Tells which certificate each live connection is on, as the socket says: a JSON file, replaced whole at each change.
 *
 * Whoever retires certificates reads it and holds the broker's own word against it. Nothing in it is secret: a
 * certificate id is a hash of what is sent in clear in TLS 1.2.
 */
'use strict';

const fs = require('node:fs');

/** Raised when a field changes its meaning or goes. */
const FORMAT = 1;

/**
 * @typedef {object} Connection
 * @property {string} broker id of the mqtt-broker node
 * @property {string} name of it
 * @property {string} client_id
 * @property {string} server host:port
 * @property {boolean} connected
 * @property {string | null} certificate_id what the live socket presents
 * @property {string | null} wanted the certificate id of the files, if they are whole
 * @property {string | null} since when this connection was first seen on it, ISO 8601
 * @property {number} swaps how often it was moved to another certificate since the flows started
 * @property {object | null} last_swap how the last one went
 */

class Report {
    #exports = [];
    #connections = [];
    #written = '';

    /**
     * @param {string} file
     * @param {string} version of Node-RED
     */
    constructor(file, version) {
        this.file = file;
        this.version = version;
    }

    /**
     * Takes what is so now, and writes the file if that is news.
     *
     * @param {object[]} exports the files that are followed and how they were found
     * @param {Connection[]} connections
     * @throws {Error} when the disk refuses
     */
    update(exports, connections) {
        const news = JSON.stringify([exports, connections]);
        if (news === this.#written) {
            return;
        }
        this.#exports = exports;
        this.#connections = connections;
        this.#write();
        this.#written = news;
    }

    /** What the file says, as of now. */
    content() {
        return {
            format: FORMAT,
            pid: process.pid,
            node_red: this.version,
            at: new Date().toISOString(),
            exports: this.#exports,
            connections: this.#connections,
        };
    }

    /** Takes the file away, because nobody keeps it true any more. */
    remove() {
        this.#written = '';
        fs.rmSync(this.file, { force: true });
    }

    #write() {
        const temporary = `${this.file}.${process.pid}.new`;
        try {
            fs.writeFileSync(temporary, `${JSON.stringify(this.content(), null, 2)}\n`, { mode: 0o644 });
            fs.renameSync(temporary, this.file);
        } catch (error) {
            fs.rmSync(temporary, { force: true });
            throw error;
        }
    }
}

module.exports = { Report };
