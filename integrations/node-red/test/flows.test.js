/** The flows that are shipped, imported as they are. */
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');

const { sidecarFlows } = require('../flows/make-sidecar');
const { Agent } = require('./support/agent');
const { Core, principalOf } = require('./support/core');
const { Export } = require('./support/export');
const { NodeRed, PACKAGE } = require('./support/nodered');
const { until } = require('./support/wait');

const load = name => JSON.parse(fs.readFileSync(path.join(PACKAGE, 'flows', `${name}.json`), 'utf8'));

describe('flows', () => {
    let core, files, observer;
    before(async () => {
        core = await Core.start();
        files = new Export();
        files.swing(await core.certificate());
        observer = await core.observer('observer', ['pm500/#', 'plant/7/#', '$aws/events/subscriptions/subscribed/meter-1']);
    });
    after(async () => {
        await observer.stop();
        files.remove();
        await core.stop();
    });

    /** Starts Node-RED with these flows and what `fleetkey local env` and the agent's directory tell. */
    const start = flows => NodeRed.start(flows, {
        environment: {
            FLEETKEY_ENDPOINT: core.ready.endpoint, FLEETKEY_MQTT_PORT: String(core.ready.mqtt_port), FLEETKEY_ROOT_CA: core.rootCa,
            FLEETKEY_CERTIFICATE: files.certificate, FLEETKEY_KEY: files.key, FLEETKEY_THING: 'meter-1',
        },
    });
    const heard = (topic, condition, red) => until(topic, () => observer.on(topic).find(condition), () => red.program.transcript());

    test('telemetry is published under the root of its tab, and goes on after a rotation', async () => {
        const flows = load('telemetry');
        const tab = flows.find(({ type }) => type === 'tab');
        tab.env.find(({ name }) => name === 'TOPIC_ROOT').value = 'plant/7';
        flows.find(({ type }) => type === 'inject').repeat = '0.5';
        const red = await start(flows);
        try {
            const first = await heard('plant/7/meter-1/telemetry', ({ sequence }) => sequence >= 1, red);
            assert.ok(Date.parse(first.at) > 0);
            const next = await core.certificate();
            files.swing(next);
            await red.on(next);
            const { sequence } = observer.on('plant/7/meter-1/telemetry').at(-1);
            await heard('plant/7/meter-1/telemetry', later => later.sequence > sequence + 1, red);
        } finally {
            await red.stop();
        }
    });

    test('commands are answered, and not done twice', async () => {
        const red = await start(load('commands'));
        const order = payload => observer.client.publish('pm500/meter-1/commands', payload, { qos: 1 });
        const status = 'pm500/meter-1/status';
        try {
            await heard('$aws/events/subscriptions/subscribed/meter-1', ({ topics }) => topics.includes('pm500/meter-1/commands'), red);
            order('{"id":"1","command":"report"}');
            await heard(status, ({ id, result }) => id === '1' && result === 'accepted', red);
            order('{"id":"1","command":"report"}');
            await heard(status, ({ id, result }) => id === '1' && result === 'repeated', red);
            order('{"id":"2","command":"explode"}');
            await heard(status, ({ id, result, why }) => id === '2' && result === 'refused' && why === 'unknown command', red);
            order('not JSON');
            await heard(status, ({ result, why }) => result === 'refused' && why === 'no JSON', red);
        } finally {
            await red.stop();
        }
    });

    test('the status tells that a rotation is no loss', async () => {
        const flows = load('status');
        flows.find(({ type }) => type === 'inject').repeat = '0.5';
        const red = await start(flows);
        try {
            const before = await heard('pm500/meter-1/status', ({ state }) => state === 'running', red);
            const next = await core.certificate();
            files.swing(next);
            await red.on(next);
            const later = await heard('pm500/meter-1/status', ({ at }) => at > red.connection().last_swap.at, red);
            assert.deepEqual({ since: later.since, lost: later.lost }, { since: before.since, lost: 0 });
        } finally {
            await red.stop();
        }
    });

    test('all three live together on one connection', async () => {
        const all = new Map(['telemetry', 'commands', 'status'].flatMap(load).map(node => [node.id, node]));
        const red = await start([...all.values()]);
        try {
            await red.reports('one connection', ({ connections }) => connections.length === 1 && connections[0].connected);
            const { length } = observer.on('pm500/meter-1/telemetry');
            await until('telemetry', () => observer.on('pm500/meter-1/telemetry').length > length, () => red.program.transcript());
        } finally {
            await red.stop();
        }
    });
});

describe('flows beneath the sidecar', () => {
    const THING = 'meter-2';
    const [TELEMETRY, STATUS] = ['telemetry', 'status'].map(leaf => `pm500/${THING}/${leaf}`);

    test('are the same flows, on another broker and without a certificate', () => {
        assert.equal(fs.readFileSync(path.join(PACKAGE, 'flows/sidecar.json'), 'utf8'), sidecarFlows(), 'npm run flows makes it anew');
        const [direct, beneath] = [['telemetry', 'commands', 'status'].flatMap(load), load('sidecar')]
            .map(nodes => new Map(nodes.map(node => [node.id, node])));
        assert.deepEqual([...direct.keys()].filter(id => !beneath.has(id)), ['fk-tls']);
        assert.deepEqual([...beneath.values()].filter(node => JSON.stringify(node) !== JSON.stringify(direct.get(node.id))).map(({ id }) => id), ['fk-broker']);
    });

    test('publish, answer and tell their status through a rotation that they do not see', async () => {
        const core = await Core.start('--setup', '--topic-root', 'pm500');
        let agent, observer, red;
        try {
            agent = await Agent.start(core, THING);
            observer = await core.observer('observer', ['pm500/#', `$aws/events/presence/connected/${THING}`,
                `$aws/events/subscriptions/subscribed/${THING}`]);
            const flows = load('sidecar');
            // A real one listens where the flows look for it.
            flows.find(({ type }) => type === 'mqtt-broker').port = String(agent.port);
            flows.filter(({ type }) => type === 'inject').forEach(node => { node.repeat = '0.5'; });
            red = await NodeRed.start(flows, { plugin: false, environment: { FLEETKEY_THING: THING } });
            const heard = (topic, condition) => until(topic, () => observer.on(topic).find(condition), () => red.program.transcript());
            const order = id => observer.client.publish(`pm500/${THING}/commands`, JSON.stringify({ id, command: 'report' }), { qos: 1 });

            await heard(`$aws/events/subscriptions/subscribed/${THING}`, ({ topics }) => topics.includes(`pm500/${THING}/commands`));
            order('before');
            await heard(STATUS, ({ id, result }) => id === 'before' && result === 'accepted');
            const { since } = await heard(STATUS, ({ state }) => state === 'running');
            const { sequence } = await heard(TELEMETRY, () => true);

            await agent.rotate();
            await agent.event('the end of the old certificate', ({ event }) => event === 'retired');
            assert.equal(principalOf(observer, THING), (await agent.status()).certificate);
            const rotated = new Date().toISOString();
            order('after');
            await heard(STATUS, ({ id, result }) => id === 'after' && result === 'accepted');
            const later = await heard(STATUS, ({ state, at }) => state === 'running' && at > rotated);
            assert.deepEqual({ since: later.since, lost: later.lost }, { since, lost: 0 });
            await heard(TELEMETRY, later => later.sequence > sequence + 1);
            const numbers = observer.on(TELEMETRY).map(message => message.sequence);
            assert.deepEqual(numbers, numbers.map((_, i) => numbers[0] + i), 'none is missing, none came twice');
            assert.deepEqual(red.program.lines.filter(line => line.includes('Disconnected from broker')), []);
        } finally {
            await red?.stop();
            await observer?.stop();
            await agent?.stop();
            await core.stop();
        }
    });
});
