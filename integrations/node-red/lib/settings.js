/**
 * What `settings.js` may say under `fleetkey`, checked once, at load: a typing error ends in a message, not in a
 * default that nobody asked for.
 */
'use strict';

const path = require('node:path');

/** Name, default and smallest value of each number. Milliseconds, but for `queue`, which counts messages. */
const NUMBERS = {
    poll: [500, 50],
    drain: [1000, 0],
    connect: [10000, 1000],
    queue: [5000, 1],
    retryRefused: [60000, 1000],
    agent: [2000, 100],
    retireAgain: [60000, 100],
};

/**
 * @typedef {object} Settings
 * @property {number} poll how often the files are looked at
 * @property {number} drain how long a swap waits for acknowledgements that are on their way
 * @property {number} connect how long the broker may take to accept the new certificate
 * @property {number} queue how many messages may wait during a swap
 * @property {number} retryRefused when a refused certificate is tried again; doubles up to an hour
 * @property {number} agent how often the agent is asked whether a retirement waits for a word of the thing
 * @property {number} retireAgain when a retirement that is not answered is asked for again; doubles up to an hour
 * @property {string} report the file that tells which certificate each connection is on
 */

/**
 * @param {object} runtime Node-RED's settings
 * @returns {Settings}
 * @throws {Error} when a setting is unknown or of the wrong kind
 */
module.exports = function settingsOf(runtime) {
    const given = runtime.fleetkey ?? {};
    if (typeof given !== 'object' || Array.isArray(given)) {
        throw new Error('settings.js: fleetkey must be an object');
    }
    for (const name of Object.keys(given)) {
        if (name !== 'report' && !(name in NUMBERS)) {
            throw new Error(`settings.js: fleetkey.${name} is unknown; there are: report, ${Object.keys(NUMBERS).join(', ')}`);
        }
    }
    const settings = { report: reportPath(given.report, runtime.userDir) };
    for (const [name, [otherwise, least]] of Object.entries(NUMBERS)) {
        settings[name] = number(name, given[name] ?? otherwise, least);
    }
    return settings;
};

function number(name, value, least) {
    if (!Number.isInteger(value) || value < least) {
        throw new Error(`settings.js: fleetkey.${name} must be a whole number, at least ${least}; it is ${JSON.stringify(value)}`);
    }
    return value;
}

function reportPath(value, userDir) {
    if (value !== undefined && (typeof value !== 'string' || value === '')) {
        throw new Error('settings.js: fleetkey.report must be the path of a file');
    }
    return path.resolve(userDir ?? '.', value ?? 'fleetkey-connections.json');
}
