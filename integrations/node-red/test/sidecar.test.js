/** Node-RED in plain MQTT to the sidecar of a real agent, which rotates beneath it under load; and what others lose there. */
'use strict';

const assert = require('node:assert/strict');
const tls = require('node:tls');
const fs = require('node:fs');
const { after, before, describe, test } = require('node:test');

const { Agent } = require('./support/agent');
const { Core, principalOf } = require('./support/core');
const { gaps, plain, runs, tally, traffic } = require('./support/flows');
const { LIMIT, held, p99 } = require('./support/held');
const { NodeRed } = require('./support/nodered');
const { Pipe } = require('./support/pipe');
const { until } = require('./support/wait');

/** Of each kind of client. */
const ROTATIONS = Number(process.env.FLEETKEY_ROTATIONS ?? 2);
/** Milliseconds from one message to the next, either way: 50 a second. */
const EVERY = 20;
/** What Node-RED calls the versions. */
const VERSIONS = { 4: '3.1.1', 5: '5' };
/** The whole measures the sidecar as it comes, and wants it quick; the slice asks that of no machine. */
const WHOLE = Boolean(process.env.FLEETKEY_ROTATIONS);
const SIDECAR = WHOLE ? '' : 'drain = "30s"\nmax_hold = "2m"';

/** A Node-RED with numbered traffic both ways, and the broker's word on all of it. */
class Scene {
    static async start(core, thing, port, { root = `device/${thing}`, ...overrides } = {}) {
        const scene = new Scene();
        scene.topics = { up: `${root}/telemetry`, down: `${root}/commands`, will: `${root}/will`,
            subscribed: `$aws/events/subscriptions/subscribed/${thing}`, connected: `$aws/events/presence/connected/${thing}` };
        const { down, ...observed } = scene.topics;
        scene.observer = await core.observer(`observes-${thing}`, Object.values(observed));
        scene.red = await NodeRed.start([...plain(port, { willTopic: scene.topics.will, ...overrides }), ...traffic(EVERY / 1000, root)],
            { plugin: false });
        await until('the subscription', () => scene.on('subscribed').length > 0, () => scene.red.program.transcript());
        scene.commands = 0;
        scene.flow = setInterval(() => scene.observer.client.publish(down, JSON.stringify({ n: ++scene.commands }), { qos: 1 }), EVERY);
        return scene;
    }

    on(topic) {
        return this.observer.on(this.topics[topic]);
    }

    async state() {
        return JSON.parse((await this.red.request('GET', '/state')).text);
    }

    logged(words) {
        return this.red.program.lines.filter(line => line.includes(words)).length;
    }

    /** Waits until so many more messages have come up. */
    passes(more = 20) {
        const heard = this.on('up').length;
        return until('telemetry', () => this.on('up').length >= heard + more, () => this.red.program.transcript());
    }

    /** Ends the traffic, waits for the last of it, and counts. */
    async end() {
        clearInterval(this.flow);
        await until('the last command', async () => (await this.state()).came.includes(this.commands), async () => JSON.stringify(await this.state()));
        const { made } = await this.state();
        await until('the last telemetry', () => this.on('up').some(({ n }) => n === made), () => this.red.program.transcript());
        const { came, status, acknowledged } = await this.state();
        const order = this.on('up').map(({ n }) => n).filter(n => n <= made);
        return { up: tally(order, made), down: tally(came, this.commands), order, status, wills: this.on('will').length,
            acknowledged: acknowledged.filter(n => n <= made), connects: this.on('connected').length, disconnects: this.logged('Disconnected from broker') };
    }

    async stop() {
        clearInterval(this.flow);
        await this.red?.stop();
        await this.observer?.stop();
    }
}

/** A scene through a sidecar whose device rotates so often. */
async function rotate(core, thing, overrides) {
    let agent, scene;
    try {
        agent = await Agent.start(core, thing, { sidecar: SIDECAR });
        scene = await Scene.start(core, thing, agent.port, { clientid: 'node-red', ...overrides });
        for (let n = 1; n <= ROTATIONS; n += 1) {
            await scene.passes();
            await agent.rotate();
            await agent.event('a move', ({ event, what }) => event === 'sidecar' && what === 'moved', n);
            const { sidecar } = await agent.status();
            await until('the broker\'s word on the certificate', () => principalOf(scene.observer, thing) === sidecar.certificate);
            await agent.event('the end of the old certificate', ({ event }) => event === 'retired', n);
        }
        await scene.passes();
        return { ...await scene.end(), moves: agent.sidecar('moved'), ended: agent.sidecar('ended'), lost: agent.sidecar('lost') };
    } finally {
        await scene?.stop();
        await agent?.stop();
    }
}

function tell(context, { up, down, moves, wills, disconnects }) {
    context.diagnostic(`${moves.length} rotations: up ${up.last} sent, ${up.lost.length} lost, ${up.again} again; `
        + `down ${down.last} sent, ${down.lost.length} lost (gaps of ${runs(down.lost).join(', ') || 'none'}), ${down.again} again; `
        + `${held(moves)}; ${disconnects} disconnects, ${wills} wills`);
}

/** What every kind of client is promised. */
function check(found, survives) {
    assert.deepEqual(found.up.lost, [], 'telemetry');
    assert.equal(found.disconnects, 0, 'Node-RED saw no disconnect');
    assert.equal(found.status.indexOf('red', found.status.indexOf('green')), -1, `the nodes' status stays green: ${found.status}`);
    assert.equal(found.wills, 0, 'wills');
    assert.deepEqual([found.ended, found.lost], [[], []], 'the client was served throughout');
    assert.equal(found.moves.length, ROTATIONS);
    for (const move of found.moves) {
        assert.equal(move.session_present, survives);
    }
    const repeated = found.moves.reduce((sum, move) => sum + move.repeated, 0);
    assert.ok(found.up.again <= repeated, `telemetry came twice only where it was sent again: ${found.up.again} of ${repeated}`);
    if (survives) {
        assert.deepEqual(found.down.lost, [], 'commands');
        assert.equal(found.up.again, 0, 'telemetry that came twice');
        assert.deepEqual(found.order, [...found.order].sort((a, b) => a - b), 'telemetry stays in order');
    } else {
        assert.ok(gaps(found.down.lost) <= ROTATIONS, 'what is lost of commands is one gap a rotation');
    }
}

const KINDS = [
    { protocolVersion: '4', cleansession: false },
    { protocolVersion: '4', cleansession: true },
    { protocolVersion: '5', cleansession: false },
    { protocolVersion: '5', cleansession: true, sessionExpiry: '' },
];

/** Of every kind of client, where the session survives and where it does not. */
const all = [];

for (const survives of [true, false]) {
    describe(`beneath the sidecar, where the session ${survives ? 'survives' : 'does not survive'} a change of certificate`, () => {
        let core;
        before(async () => {
            core = await Core.start('--setup', '--grace', '1s', '--session-survives-certificate-change', String(survives));
        });
        after(() => core.stop());

        KINDS.forEach((kind, i) => {
            const name = `a ${kind.cleansession ? 'clean' : 'persistent'} session of MQTT ${VERSIONS[kind.protocolVersion]}`;
            test(`${name} ${survives ? 'loses nothing either way' : 'loses nothing upwards, and a gap of commands'}`, async context => {
                const found = await rotate(core, `pump-${i + 1}`, kind);
                all.push(...found.moves);
                tell(context, found);
                check(found, survives);
                if (WHOLE) {
                    assert.ok(p99(found.moves) < LIMIT, held(found.moves));
                }
            });
        });
    });
}

test('the time held, over all of these', context => {
    context.diagnostic(`${all.length} rotations: ${held(all)}`);
    assert.equal(all.length, 2 * KINDS.length * ROTATIONS);
});

describe('the sidecar dies', () => {
    let core;
    before(async () => { core = await Core.start('--setup', '--grace', '1s'); });
    after(() => core.stop());

    for (const protocolVersion of ['4', '5']) {
        test(`by kill -9 while it holds a client of MQTT ${VERSIONS[protocolVersion]}, and no QoS 1 message is lost`, async context => {
            const thing = `pump-${protocolVersion}`;
            const pipe = await Pipe.start(() => require('node:net').connect(core.ready.mqtt_port, '127.0.0.1'));
            let agent, scene;
            try {
                agent = await Agent.start(core, thing, { port: pipe.port, sidecar: 'max_hold = "5m"', more: '[timeouts]\nconnect = "5m"' });
                scene = await Scene.start(core, thing, agent.port, { clientid: 'node-red', protocolVersion });
                await scene.passes(100);
                pipe.freezeWhenTheBusiestEnds();
                await agent.rotate();
                await until('the hold', () => pipe.frozen, () => agent.program.transcript());
                const held = await until('messages that wait', async () => {
                    const { sidecar } = await agent.status();
                    return sidecar.waiting_up >= 20 && sidecar;
                });
                assert.ok(held.held && held.client, JSON.stringify(held));
                // What Node-RED has made until now it has given to its client, which was connected.
                const { made, acknowledged } = await scene.state();
                assert.equal(await agent.kill(), 'SIGKILL');
                pipe.thaw();
                await agent.again();
                await agent.event('a client', ({ event, what }) => event === 'sidecar' && what === 'serving');
                await scene.passes(100);
                const found = await scene.end();
                const heard = new Set(found.order);
                const unheard = from => from.filter(n => !heard.has(n));
                context.diagnostic(`${held.waiting_up} waited in the sidecar; of ${found.up.last} sent ${found.acknowledged.length} were acknowledged, `
                    + `${made - acknowledged.length} were sent again, ${found.up.again} came twice; ${found.down.last} commands, ${found.down.again} came twice`);
                assert.deepEqual(unheard(found.acknowledged), [], 'what was acknowledged');
                assert.deepEqual(unheard(Array.from({ length: made }, (_, i) => i + 1)), [], 'what Node-RED\'s client held');
                assert.deepEqual(found.down.lost, [], 'commands');
                assert.equal(found.disconnects, 1);
                const { sidecar, certificate } = await agent.status();
                assert.equal(sidecar.certificate, certificate);
            } finally {
                await scene?.stop();
                await agent?.stop();
                await pipe.stop();
            }
        });
    }
});

test('control: a pipe of bytes that changes the certificate cuts the client, has its will published, and loses what Node-RED sends meanwhile', async context => {
    const core = await Core.start();
    let identity = await core.certificate();
    const ca = fs.readFileSync(core.rootCa);
    const pipe = await Pipe.start(() => tls.connect({ host: '127.0.0.1', servername: core.ready.endpoint, port: core.ready.mqtt_port, ca,
        cert: identity.cert, key: identity.key }));
    let scene;
    try {
        scene = await Scene.start(core, 'pump-01', pipe.port);
        for (let n = 1; n <= ROTATIONS; n += 1) {
            await scene.passes();
            identity = await core.certificate();
            pipe.cut();
            await until('the broker\'s word on the certificate', () => principalOf(scene.observer, 'pump-01') === identity.id);
        }
        await scene.passes();
        const { up, down, wills, disconnects } = await scene.end();
        context.diagnostic(`${ROTATIONS} rotations: up ${up.last} sent, ${up.lost.length} lost; down ${down.last} sent, ${down.lost.length} lost, ${down.again} again; `
            + `${disconnects} disconnects, ${wills} wills`);
        assert.equal(disconnects, ROTATIONS);
        assert.equal(wills, ROTATIONS);
        assert.ok(gaps(up.lost) >= ROTATIONS, 'a gap in the telemetry each time');
    } finally {
        await scene?.stop();
        await pipe.stop();
        await core.stop();
    }
});
