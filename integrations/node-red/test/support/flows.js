/** Flows for measuring: numbered messages up at a steady rate, numbered commands down, what came to be asked for. */
'use strict';

/** Config nodes of a broker that keeps its session. */
function broker(core, files, overrides = {}) {
    return [
        { id: 'tls', type: 'tls-config', name: '', cert: files.certificate, key: files.key, ca: core.rootCa,
            certname: '', keyname: '', caname: '', servername: '', verifyservercert: true, alpnprotocol: '' },
        { ...BROKER, broker: core.ready.endpoint, port: String(core.ready.mqtt_port), tls: 'tls', usetls: true, ...overrides },
    ];
}

/** The same in plain MQTT, to something on this machine that knows how to go on. */
function plain(port, overrides = {}) {
    return [{ ...BROKER, broker: '127.0.0.1', port: String(port), tls: '', usetls: false, ...overrides }];
}

const BROKER = {
    id: 'broker', type: 'mqtt-broker', name: 'core', clientid: 'pump-01', autoConnect: true, protocolVersion: '4', keepalive: '60',
    cleansession: false, autoUnsubscribe: false, birthTopic: '', closeTopic: '', sessionExpiry: '3600',
    willTopic: 'pm500/pump-01/will', willQos: '1', willPayload: '{"dead":true}', willRetain: 'false',
};

/** One message each `every` seconds on `root`/telemetry, and a page `/state` that tells what was made and what came. */
function traffic(every, root = 'pm500/pump-01') {
    return [
        { id: 'tab', type: 'tab', label: 'traffic', disabled: false },
        { id: 'tick', type: 'inject', z: 'tab', name: '', props: [], repeat: String(every), once: true, onceDelay: 0.1, wires: [['number']] },
        { id: 'number', type: 'function', z: 'tab', outputs: 1, wires: [['out']],
            // Node-RED drops what is published before the first connection; that is not what is measured.
            func: "if (!(global.get('status') || []).includes('green')) { return null; } const n = (global.get('made') || 0) + 1; global.set('made', n); return { payload: { n } };" },
        { id: 'out', type: 'mqtt out', z: 'tab', topic: `${root}/telemetry`, qos: '1', retain: 'false', broker: 'broker', wires: [] },
        { id: 'in', type: 'mqtt in', z: 'tab', topic: `${root}/commands`, qos: '1', datatype: 'json', broker: 'broker', inputs: 0, wires: [['keep']] },
        { id: 'keep', type: 'function', z: 'tab', outputs: 0, wires: [],
            func: "const all = global.get('came') || []; all.push(msg.payload.n); global.set('came', all);" },
        { id: 'done', type: 'complete', z: 'tab', scope: ['out'], wires: [['acknowledged']] },
        { id: 'acknowledged', type: 'function', z: 'tab', outputs: 0, wires: [],
            func: "const all = global.get('acknowledged') || []; all.push(JSON.parse(msg.payload).n); global.set('acknowledged', all);" },
        { id: 'asked', type: 'http in', z: 'tab', url: '/state', method: 'get', wires: [['tell']] },
        { id: 'tell', type: 'function', z: 'tab', outputs: 1, wires: [['answer']],
            func: "msg.payload = { made: global.get('made') || 0, came: global.get('came') || [], acknowledged: global.get('acknowledged') || [], started: global.get('started') || 0, status: global.get('status') || [] }; return msg;" },
        { id: 'answer', type: 'http response', z: 'tab', statusCode: '', headers: {}, wires: [] },
        { id: 'watch', type: 'status', z: 'tab', scope: ['out'], wires: [['note']] },
        { id: 'note', type: 'function', z: 'tab', outputs: 0, wires: [],
            initialize: "global.set('started', (global.get('started') || 0) + 1);",
            func: "const all = global.get('status') || []; all.push(msg.status.fill); global.set('status', all);" },
    ];
}

/** Which of 1..=last are missing, and how many came more than once. */
function tally(numbers, last) {
    const seen = new Map();
    numbers.forEach(n => seen.set(n, (seen.get(n) ?? 0) + 1));
    const lost = Array.from({ length: last }, (_, i) => i + 1).filter(n => !seen.has(n));
    const again = [...seen.values()].reduce((sum, times) => sum + times - 1, 0);
    return { last, lost, again };
}

/** How many runs of consecutive numbers these are. */
function gaps(numbers) {
    return runs(numbers).length;
}

/** How long the runs of consecutive numbers are. */
function runs(numbers) {
    return numbers.reduce((found, n, i) => {
        if (n === numbers[i - 1] + 1) {
            found.push(found.pop() + 1);
        } else {
            found.push(1);
        }
        return found;
    }, []);
}

module.exports = { broker, gaps, plain, runs, tally, traffic };
