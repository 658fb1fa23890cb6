/** The sidecar's matrix: clean and persistent sessions of MQTT 3.1.1 and 5, every QoS, idle, 50 and 500 messages a second. */
'use strict';

const assert = require('node:assert/strict');
const { after, before, describe, test } = require('node:test');

const { Agent } = require('./support/agent');
const { Core } = require('./support/core');
const { gaps, runs, tally } = require('./support/flows');
const { held } = require('./support/held');
const { Ear, Speaker, local } = require('./support/local');
const { until } = require('./support/wait');

/** In each cell. */
const ROTATIONS = Number(process.env.FLEETKEY_ROTATIONS ?? 1);
/** Whether the broker's session survives a change of certificate; the slice takes what loses least. */
const SURVIVES = process.env.FLEETKEY_ROTATIONS ? [true, false] : [true];
/** The quotas of AWS are lifted, or 500 a second would not pass; the rest as it comes, but that the slice waits for a busy machine. */
const SIDECAR = ['messages_per_second = 0', ...(process.env.FLEETKEY_ROTATIONS ? [] : ['drain = "30s"', 'max_hold = "2m"'])].join('\n');
/** AWS takes so many unanswered messages of a connection. */
const WINDOW = 100;

const KINDS = [4, 5].flatMap(protocolVersion => [false, true].map(clean => ({ protocolVersion, clean })));
const CELLS = [{ rate: 0, qos: 1 }, ...[50, 500].flatMap(rate => [0, 1, 2].map(qos => ({ rate, qos })))];

/** A device with a sidecar, its client, and an operator who hears and says. */
class Scene {
    static async start(core, kind, thing, sidecar = SIDECAR) {
        const scene = new Scene();
        Object.assign(scene, { thing, topic: leaf => `device/${thing}/${leaf}` });
        try {
            scene.agent = await Agent.start(core, thing, { sidecar });
            scene.operator = await core.observer(`operates-${thing}`, [scene.topic('telemetry/#'), scene.topic('will')]);
            scene.up = new Ear(scene.operator.client);
            scene.client = await local(scene.agent.port, { ...kind, will: scene.topic('will') });
            scene.down = new Ear(scene.client);
            return scene;
        } catch (error) {
            await scene.stop();
            throw error;
        }
    }

    async rotate(number) {
        await this.agent.rotate();
        await this.agent.event('a move', ({ event, what }) => event === 'sidecar' && what === 'moved', number);
        await this.agent.event('the end of the old certificate', ({ event }) => event === 'retired', number);
    }

    async dropped() {
        return (await this.agent.status()).sidecar.dropped;
    }

    async stop() {
        this.client?.end(true);
        await this.operator?.stop();
        await this.agent?.stop();
    }
}

/** Numbers both ways while the device rotates; what came of them. */
async function cell(scene, { rate, qos }) {
    const { agent, client, operator } = scene;
    const [telemetry, commands] = ['telemetry', 'commands'].map(leaf => scene.topic(`${leaf}/${rate}/${qos}`));
    const [granted] = await client.subscribeAsync(commands, { qos });
    assert.equal(granted.qos, Math.min(qos, 1), 'the QoS that is granted');
    const [before, dropped] = [agent.sidecar('moved').length, await scene.dropped()];
    const [up, down] = [scene.up.on(telemetry), scene.down.on(commands)];
    const passes = rate === 0 ? () => {} : () => {
        const [a, b] = [up.length + 20, down.length + 20];
        return until('messages either way', () => up.length >= a && down.length >= b, () => agent.program.transcript());
    };
    // AWS has no QoS 2, so who publishes there does it at QoS 1.
    const speakers = [new Speaker(client, telemetry, { qos, rate }),
        new Speaker(operator.client, commands, { qos: Math.min(qos, 1), rate, window: WINDOW })];
    try {
        for (let n = 1; n <= ROTATIONS; n += 1) {
            await passes();
            await scene.rotate(before + n);
        }
        await passes();
        const [saidUp, saidDown] = speakers.map(speaker => speaker.end());
        await until('the last of either way', () => up.includes(saidUp) && down.includes(saidDown), () => agent.program.transcript());
        return { up: tally(up, saidUp), down: tally(down, saidDown), order: { up, down }, rate: speakers.map(speaker => speaker.rate),
            moves: agent.sidecar('moved').slice(before), dropped: await scene.dropped() - dropped };
    } finally {
        speakers.forEach(speaker => speaker.stop());
        await client.unsubscribeAsync(commands);
    }
}

function tell(context, { up, down, rate, moves, dropped }) {
    const way = ({ last, lost, again }) => `${last} sent, ${lost.length} lost${lost.length ? ` (gaps of ${runs(lost).join(', ')})` : ''}, ${again} again`;
    context.diagnostic(`${moves.length} rotations, ${rate.join(' and ')} a second: up ${way(up)}; down ${way(down)}; ${dropped} dropped; ${held(moves)}`);
}

/** What is promised at each QoS. What is said to the client while its session is gone, MQTT lets go. */
function check(scene, survives, { qos }, { up, down, order, moves, dropped }) {
    assert.equal(scene.client.closes, 0, 'the client saw no disconnect');
    assert.deepEqual(scene.up.on(scene.topic('will')), [], 'no will was published');
    assert.deepEqual([scene.agent.sidecar('ended'), scene.agent.sidecar('lost')], [[], []], 'the client was served throughout');
    assert.equal(moves.length, ROTATIONS);
    assert.ok(moves.every(move => move.session_present === survives));
    assert.ok(up.lost.length <= (qos === 0 ? dropped : 0), `upward only what was counted is lost: ${up.lost.length} of ${dropped}`);
    if (qos === 0) {
        assert.deepEqual([up.again, down.again], [0, 0], 'at most once');
    } else {
        assert.equal(dropped, 0, 'nothing of QoS 1 is dropped');
    }
    if (survives && qos > 0) {
        assert.deepEqual(down.lost, [], 'downward nothing is lost');
    } else if (dropped === 0) {
        assert.ok(gaps(down.lost) <= ROTATIONS, `downward one gap a rotation: ${runs(down.lost)}`);
    }
    const repeated = moves.reduce((sum, move) => sum + move.repeated, 0);
    assert.ok(up.again <= repeated, `upward only what was sent again came twice: ${up.again} of ${repeated}`);
    if (repeated === 0) {
        assert.equal(down.again, 0, 'nothing was under way, so nothing came twice');
        assert.deepEqual(order.up, [...order.up].sort((a, b) => a - b), 'in order');
    }
}

SURVIVES.forEach(survives => describe(`the session ${survives ? 'survives' : 'does not survive'} a change of certificate`, { concurrency: 2 }, () => {
    let core;
    before(async () => {
        core = await Core.start('--setup', '--grace', '1s', '--messages-per-second', '0', '--session-survives-certificate-change', String(survives));
    });
    after(() => core.stop());

    for (const kind of KINDS) {
        const name = `a ${kind.clean ? 'clean' : 'persistent'} session of MQTT ${kind.protocolVersion === 5 ? '5' : '3.1.1'}`;
        test(name, async context => {
            const scene = await Scene.start(core, kind, `pump-${kind.protocolVersion}-${kind.clean ? 'clean' : 'kept'}`);
            try {
                for (const wanted of CELLS) {
                    const { rate, qos } = wanted;
                    await context.test(rate === 0 ? 'idle' : `QoS ${qos}, ${rate} a second`, async context => {
                        const found = await cell(scene, wanted);
                        tell(context, found);
                        check(scene, survives, wanted, found);
                    });
                }
            } finally {
                await scene.stop();
            }
        });
    }
}));
