/** A real agent that leaves the thing's session to Node-RED (`live = false`): on whose word its old certificates end. */
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');

const { Agent } = require('./support/agent');
const { Asked } = require('./support/asked');
const { Core, principalOf } = require('./support/core');
const { Export } = require('./support/export');
const { broker, tally, traffic } = require('./support/flows');
const { NodeRed } = require('./support/nodered');
const { until } = require('./support/wait');

const ROTATIONS = 2;
const PLUGIN = 'httpAdminRoot: false, fleetkey: { poll: 100, agent: 100 },';

/** The agent, Node-RED under the thing's own name, and the broker's word on both. */
class Scene {
    static async start(core, thing, filesOf) {
        const scene = new Scene();
        Object.assign(scene, { core, thing, up: `device/${thing}/telemetry`, attested: `fleetkey/attested/${thing}/requests` });
        try {
            scene.agent = await Agent.start(core, thing, { sidecar: null, more: '[session]\nlive = false' });
            scene.observer = await core.observer(`observes-${thing}`, [scene.up, scene.attested, `$aws/events/presence/connected/${thing}`]);
            scene.red = await NodeRed.start([...broker(core, await filesOf(scene), { clientid: thing, willTopic: '' }), ...traffic(0.05, `device/${thing}`)],
                { settings: PLUGIN });
            await scene.passes();
            return scene;
        } catch (error) {
            await scene.stop();
            throw error;
        }
    }

    exported(name) {
        return path.join(this.agent.directory, 'state/export', name);
    }

    /** What the agent exports at this moment. */
    pair() {
        return { cert: fs.readFileSync(this.exported('device.cert.pem')), key: fs.readFileSync(this.exported('device.key.pem')) };
    }

    passes(more = 20) {
        const heard = this.observer.on(this.up).length;
        return until('telemetry', () => this.observer.on(this.up).length >= heard + more, () => this.transcript());
    }

    async inUse() {
        return (await this.agent.status()).certificate;
    }

    async statusOf(id) {
        return (await this.core.call('GET', `/certificates/${id}`)).certificateDescription.status;
    }

    /** Has the agent rotate, once no certificate of this second would be as old as the one before; that one. */
    async rotate() {
        const old = await this.inUse();
        const { creationDate } = (await this.core.call('GET', `/certificates/${old}`)).certificateDescription;
        await until('the next second', () => Date.now() > (Math.floor(creationDate) + 1) * 1000);
        await this.agent.rotate();
        return old;
    }

    /** What was asked by whoever has the thing's session, with the broker's word on who that was. */
    asked() {
        return this.observer.on(this.attested).filter(({ clientid }) => clientid === this.thing);
    }

    ends(number) {
        return until(`the end of ${number} old certificates`, () => this.agent.events().filter(({ event }) => event === 'retired')[number - 1],
            () => this.transcript());
    }

    transcript() {
        return [this.red?.program.transcript(), this.agent.program.transcript(), JSON.stringify(this.observer.on(this.attested))].join('\n');
    }

    async stop() {
        await this.red?.stop();
        await this.observer?.stop();
        await this.agent?.stop();
    }
}

describe('beside an agent without the session', () => {
    let core;
    before(async () => { core = await Core.start('--setup'); });
    after(() => core.stop());

    test('a device rotates again and again: each old certificate ends on the word of the connection that is on the new one', async context => {
        const scene = await Scene.start(core, 'pump-1', self => ({ certificate: self.exported('device.cert.pem'), key: self.exported('device.key.pem') }));
        try {
            for (let number = 1; number <= ROTATIONS; number += 1) {
                const old = await scene.rotate();
                await scene.ends(number);
                const now = await scene.inUse();
                assert.notEqual(now, old);
                assert.deepEqual([await scene.statusOf(old), await scene.statusOf(now)], ['INACTIVE', 'ACTIVE']);
                assert.equal(principalOf(scene.observer, scene.thing), now);
                const words = scene.asked();
                assert.equal(words.length, number, JSON.stringify(words));
                assert.equal(words.at(-1).principal, now);
                const { exports: [{ retirement }] } = await scene.red.reports('what was said', ({ exports }) => exports[0].retirement?.certificate_id === now);
                assert.deepEqual([retirement.rotation, retirement.times], [words.at(-1).id, 1]);
                await scene.passes();
            }
            const { made, status } = JSON.parse((await scene.red.request('GET', '/state')).text);
            await until('the last telemetry', () => scene.observer.on(scene.up).some(({ n }) => n === made));
            const up = tally(scene.observer.on(scene.up).map(({ n }) => n).filter(n => n <= made), made);
            context.diagnostic(`${ROTATIONS} rotations: ${made} sent, ${up.lost.length} lost, ${up.again} again`);
            assert.deepEqual(up, { last: made, lost: [], again: 0 });
            assert.equal(status.indexOf('red', status.indexOf('green')), -1, `the nodes' status stays green: ${status}`);
        } finally {
            await scene.stop();
        }
    });

    test('nothing is asked for, and nothing ends, while Node-RED is on the old certificate', async () => {
        const files = new Export();
        let between;
        const scene = await Scene.start(core, 'pump-2', async self => {
            files.swing(self.pair());
            between = await Asked.at(files.state, path.join(self.agent.directory, 'state/agent.sock'));
            return files;
        });
        try {
            const old = await scene.rotate();
            await until('an agent that waits', async () => (await scene.agent.status()).state === 'retiring', () => scene.transcript());
            const { questions } = between;
            await until('questions to it', () => between.questions >= questions + 5, () => scene.transcript());
            assert.deepEqual(scene.asked(), []);
            assert.equal(principalOf(scene.observer, scene.thing), old);
            assert.equal(await scene.statusOf(old), 'ACTIVE');
            files.swing(scene.pair());
            await scene.ends(1);
            assert.equal(await scene.statusOf(old), 'INACTIVE');
            assert.equal(principalOf(scene.observer, scene.thing), await scene.inUse());
        } finally {
            await scene.stop();
            await between?.stop();
            files.remove();
        }
    });
});
