/** When the word that retires an old certificate is said, and when it is not: with an agent and a broker node that are made up. */
'use strict';

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { afterEach, beforeEach, describe, test } = require('node:test');

const { certificateId } = require('../lib/identity');
const { Retirement } = require('../lib/retirement');
const { Asked } = require('./support/asked');
const { until } = require('./support/wait');

const [NEW, OLD] = ['new', 'old'].map(name => ({ raw: Buffer.from(name), id: certificateId(Buffer.from(name)) }));
const REQUESTS = 'fleetkey/things/pump-01/requests';

describe('retirement', () => {
    let state, status, asked, retirement, logged;
    beforeEach(async () => {
        state = fs.mkdtempSync(path.join(os.tmpdir(), 'fleetkey-node-red-asked-'));
        status = { state: 'retiring', thing: 'pump-01', certificate: NEW.id, rotation: 'r1', audit: { n: 7, hash: 'ab' } };
        asked = await Asked.at(state, () => status);
        logged = [];
        retirement = retirementThat({ agent: 0, retireAgain: 60_000 });
    });
    afterEach(async () => {
        await asked.stop();
        fs.rmSync(state, { recursive: true });
    });

    const retirementThat = settings => new Retirement(settings,
        { log: (_, text) => logged.push(text), say: (_subject, _level, text) => logged.push(...text === null ? [] : [text]) });
    const files = (...brokers) => ({ id: 'tls', certificate: path.join(state, 'export/device.cert.pem'), brokers });
    const consider = (...brokers) => retirement.consider(files(...brokers), NEW.id);

    test('what the agent would say is said on the connection that is on its certificate, once', async () => {
        const broker = connection(NEW);
        await consider(broker);
        assert.deepEqual(broker.said, [{ topic: REQUESTS, payload: '{"op":"retire","id":"r1","audit":"ab"}', qos: 0 }]);
        assert.equal(retirement.said('tls').rotation, 'r1');
        await consider(broker);
        assert.equal(broker.said.length, 1, 'the answer has its time');
        status.rotation = 'r2';
        await consider(broker);
        assert.equal(JSON.parse(broker.said[1].payload).id, 'r2');
        assert.equal(asked.questions, 3);
    });

    for (const [what, broker, change] of [
        ['on another certificate', () => connection(OLD)],
        ['under another client id', () => connection(NEW, { clientId: 'pump-01~agent' })],
        ['that is down', () => connection(NEW, { connected: false })],
        ['while the agent soaks', () => connection(NEW), { state: 'soak' }],
        ['while nothing waits', () => connection(NEW), { state: 'idle', rotation: null }],
        ['while the agent has committed another certificate', () => connection(NEW), { certificate: OLD.id }],
    ]) {
        test(`nothing is said on a connection ${what}`, async () => {
            Object.assign(status, change);
            const silent = broker();
            await consider(silent);
            assert.deepEqual(silent.said, []);
            assert.equal(retirement.said('tls'), null);
        });
    }

    test('nothing is said while another connection with these files is on another certificate', async () => {
        const [broker, other] = [connection(NEW), connection(OLD, { clientId: 'other' })];
        await consider(broker, other);
        assert.deepEqual(broker.said, []);
    });

    test('nothing is said on what became of a connection while the agent was asked', async () => {
        const broker = connection(NEW);
        const considered = consider(broker);
        broker.node.client.stream = stream(OLD);
        await considered;
        assert.equal(asked.questions, 1);
        assert.deepEqual(broker.said, []);
    });

    test('what is not answered is said again, and then more and more rarely', async () => {
        retirement = retirementThat({ agent: 0, retireAgain: 20 });
        const broker = connection(NEW);
        await until('three times', async () => {
            await consider(broker);
            return broker.said.length === 3;
        });
        const { times } = retirement.said('tls');
        assert.equal(times, 3);
        assert.ok(asked.questions > 3, 'the agent was asked more often than the controller');
    });

    test('a connection that ends right after it is told of', async () => {
        const broker = connection(NEW);
        await consider(broker);
        broker.node.client.stream.emit('close');
        assert.match(logged.at(-1), /policy allow publishing on fleetkey\/things\/pump-01\/requests/);
    });

    test('without an agent there is nothing to say, and nothing to log', async () => {
        await asked.stop();
        const broker = connection(NEW);
        await consider(broker);
        assert.deepEqual([broker.said, logged], [[], []]);
        asked = await Asked.at(state, () => status);
    });

    for (const answer of ['{"error":"the agent is stopping"}\n', 'no JSON\n', '', `${'x'.repeat(20_000)}\n`]) {
        test(`an answer that is none is told: ${answer.slice(0, 30).trim() || 'nothing'}`, async () => {
            status = answer;
            const broker = connection(NEW);
            await consider(broker);
            assert.deepEqual(broker.said, []);
            assert.match(logged.at(-1), /cannot be asked/);
        });
    }

    test('the socket of a state directory with a long name is found', async () => {
        const deep = path.join(state, ...Array(10).fill('a-directory-of-a-directory'));
        fs.mkdirSync(deep, { recursive: true });
        fs.renameSync(path.join(state, 'agent.sock'), path.join(deep, 'agent.sock'));
        const broker = connection(NEW);
        await retirement.consider({ ...files(broker), certificate: path.join(deep, 'export/device.cert.pem') }, NEW.id);
        assert.equal(broker.said.length, 1);
    });
});

/** As much of a broker node as is looked at: connected, its socket on this certificate, what was written to it. */
function connection({ raw }, { clientId = 'pump-01', connected = true } = {}) {
    const said = [];
    const client = { connected, stream: stream({ raw }), outgoing: {}, options: { protocol: 'mqtts', clientId }, _reconnect() {}, _destroyKeepaliveManager() {},
        _writePacket: ({ topic, payload, qos }) => said.push({ topic, payload, qos }) };
    return { id: clientId, name: '', node: { connected, client }, said };
}

function stream({ raw }) {
    return Object.assign(new EventEmitter(), { unpipe() {}, getX509Certificate: () => ({ raw }) });
}
