/**
 * Makes `sidecar.json` of the other flows: the same nodes, but for the broker, which is the sidecar in plain MQTT, and the
 * `tls-config`, which there is none of. Not edited by hand; `npm run flows` writes it, and a test holds it to this.
 */
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const SOURCES = ['telemetry', 'commands', 'status'];
/** All that is different. */
const BROKER = { name: 'fleetkey sidecar', broker: '127.0.0.1', port: '1883', tls: '', usetls: false };

/** The text of `sidecar.json`. */
function sidecarFlows() {
    const all = SOURCES.flatMap(name => JSON.parse(fs.readFileSync(path.join(__dirname, `${name}.json`), 'utf8')));
    // The sources share their broker.
    const nodes = [...new Map(all.map(node => [node.id, node])).values()];
    const plain = nodes.filter(({ type }) => type !== 'tls-config')
        .map(node => node.type === 'mqtt-broker' ? { ...node, ...BROKER } : node);
    return `${JSON.stringify(plain, null, 2)}\n`;
}

module.exports = { sidecarFlows };

if (require.main === module) {
    fs.writeFileSync(path.join(__dirname, 'sidecar.json'), sidecarFlows());
}
