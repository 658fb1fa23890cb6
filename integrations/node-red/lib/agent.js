/**
 * The agent that exports the files, asked over its status socket: one JSON line there, one back
 * (`crates/agent/src/status.rs`). It is asked and never ordered.
 */
'use strict';

const fs = require('node:fs/promises');
const net = require('node:net');
const path = require('node:path');

/** The socket in the agent's state directory. */
const SOCKET = 'agent.sock';
/** A socket's address holds about so many bytes; a deeper directory is entered through a descriptor. */
const LONGEST_ADDRESS = 100;
/** No answer of the agent is longer, in bytes. */
const LONGEST_ANSWER = 16 * 1024;
/** How long the agent may take to answer, in milliseconds. */
const PATIENCE = 5000;
/** Nobody is there to be asked: the agent does not run, or the files are not in a state directory. */
const ABSENT = ['ENOENT', 'ENOTDIR', 'ECONNREFUSED'];

/**
 * As much of an agent's status as is used here.
 *
 * @typedef {object} Status
 * @property {string} state `retiring` while the identity before waits for its retirement
 * @property {string} thing
 * @property {string | null} certificate the id of the certificate that is committed
 * @property {string | null} rotation the id under which its retirement is asked for
 * @property {{hash: string} | null} [audit] the head of its audit log
 */

/** The socket of the agent in whose state directory this certificate is exported (`STATE/export/device.cert.pem`). */
function socketOf(certificate) {
    return path.join(path.dirname(path.dirname(path.resolve(certificate))), SOCKET);
}

/**
 * @param {string} socket
 * @returns {Promise<Status | null>} null if nobody is there to be asked
 * @throws {Error} when an agent is there and cannot be asked
 */
async function statusOf(socket) {
    try {
        return statusIn(await asked(socket, { op: 'status' }));
    } catch (error) {
        if (ABSENT.includes(error.code)) {
            return null;
        }
        throw error;
    }
}

/**
 * What asks the controller to retire what the committed certificate supersedes: the line that the agent would publish if
 * the thing's session were its own (`crates/agent/src/driver/execute.rs`). The broker adds which certificate said it.
 *
 * @param {Status} status
 * @returns {{topic: string, payload: string}}
 */
function retireRequest({ thing, rotation, audit }) {
    const head = typeof audit?.hash === 'string' ? { audit: audit.hash } : {};
    return { topic: `fleetkey/things/${thing}/requests`, payload: JSON.stringify({ op: 'retire', id: rotation, ...head }) };
}

function statusIn(line) {
    const { status, error } = JSON.parse(line);
    if (status === null || typeof status !== 'object') {
        throw new Error(error ? `it says: ${error}` : 'its answer tells no status');
    }
    return status;
}

async function asked(socket, request) {
    if (Buffer.byteLength(socket) < LONGEST_ADDRESS) {
        return exchange(socket, request);
    }
    const directory = await fs.open(path.dirname(socket));
    try {
        return await exchange(`/proc/self/fd/${directory.fd}/${path.basename(socket)}`, request);
    } finally {
        await directory.close();
    }
}

/** One line there, what comes back until the other side ends. */
function exchange(address, request) {
    return new Promise((resolve, reject) => {
        const connection = net.connect(address, () => connection.write(`${JSON.stringify(request)}\n`));
        let answer = '';
        const fails = why => connection.destroy(new Error(why));
        const timer = setTimeout(() => fails(`no answer within ${PATIENCE} ms`), PATIENCE);
        connection.setEncoding('utf8');
        connection.on('data', data => {
            answer += data;
            if (answer.length > LONGEST_ANSWER) {
                fails(`its answer is longer than ${LONGEST_ANSWER} bytes`);
            }
        });
        connection.on('end', () => resolve(answer));
        connection.on('error', reject);
        connection.on('close', () => {
            clearTimeout(timer);
            reject(new Error('it hung up'));
        });
    });
}

module.exports = { retireRequest, socketOf, statusOf };
