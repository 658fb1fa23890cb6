/**
 * Which nodes of the running flows this is about: `tls-config` nodes that name a certificate and a key as files, and the
 * `mqtt-broker` nodes that use them.
 *
 * Not here: identities that were uploaded into Node-RED's credentials (nobody outside can replace those), and config
 * nodes inside subflows, which the runtime does not list.
 */
'use strict';

const VARIABLE = /^\$\{([^{}]+)\}$/;

/**
 * @typedef {object} Followed
 * @property {string} id of the tls-config node
 * @property {object} node the live tls-config node
 * @property {string} certificate path
 * @property {string} key path
 * @property {string} [ca] path
 * @property {string} [passphrase]
 * @property {{id: string, name: string, node: object}[]} brokers live mqtt-broker nodes that use it
 */

/**
 * @param {object} RED
 * @returns {Followed[]}
 */
module.exports = function followed(RED) {
    const tls = new Map();
    const brokers = [];
    RED.nodes.eachNode(config => {
        if (config.type === 'tls-config') {
            const found = tlsFiles(RED, config);
            if (found) {
                tls.set(config.id, found);
            }
        } else if (config.type === 'mqtt-broker' && config.usetls && config.tls) {
            brokers.push(config);
        }
    });
    for (const config of brokers) {
        const node = RED.nodes.getNode(config.id);
        if (node && tls.has(config.tls)) {
            tls.get(config.tls).brokers.push({ id: config.id, name: config.name || '', node });
        }
    }
    return [...tls.values()];
};

function tlsFiles(RED, config) {
    const node = RED.nodes.getNode(config.id);
    if (!node) {
        return undefined;
    }
    const certificate = resolved(RED, node, config.cert);
    const key = resolved(RED, node, config.key);
    if (!certificate || !key) {
        return undefined;
    }
    const ca = resolved(RED, node, config.ca) || undefined;
    const passphrase = node.credentials?.passphrase || undefined;
    return { id: config.id, node, certificate, key, ca, passphrase, brokers: [] };
}

/** A property as its node was given it: `${NAME}` is the flow's or the process's variable. */
function resolved(RED, node, value) {
    const text = typeof value === 'string' ? value.trim() : '';
    const variable = VARIABLE.exec(text);
    return variable ? String(RED.util.getSetting(node, variable[1]) ?? '').trim() : text;
}
