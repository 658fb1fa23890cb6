/** A maintenance window with both kinds of client: a PLC that imports a bundle, and Node-RED on a sidecar that sees nothing of it. */
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { Agent } = require('./support/agent');
const { Core, principalOf } = require('./support/core');
const { plain, traffic } = require('./support/flows');
const { NodeRed } = require('./support/nodered');
const { Plc } = require('./support/plc');
const { until } = require('./support/wait');

/** The root of a test: nothing of the plant listens there. */
const ROOT = 'windowtest';
const [PLC, NODE] = ['PLC1', 'NODE1'];
const BOTH = [PLC, NODE];

/** Both clients, their agents, and the broker's word. */
class Plant {
    static async start() {
        const plant = new Plant();
        plant.core = await Core.start('--setup', '--grace', '1s', '--topic-root', ROOT);
        // The PLC owns its thing's session; its agent lives beside it.
        plant.agents = { [PLC]: await Agent.start(plant.core, PLC, { sidecar: null, more: '[session]\nlive = false' }),
            [NODE]: await Agent.start(plant.core, NODE) };
        const presence = BOTH.map(thing => `$aws/events/presence/connected/${thing}`);
        plant.observer = await plant.core.observer('operator', [`${ROOT}/#`, '$aws/events/subscriptions/subscribed/+', ...presence]);
        plant.plc = Plc.start(plant.core, PLC);
        const root = `${ROOT}/${NODE}`;
        plant.red = await NodeRed.start([...plain(plant.agents[NODE].port, { clientid: 'node-red', willTopic: `${root}/will` }),
            ...traffic(0.1, root)], { plugin: false });
        await until('a subscription of Node-RED', () => plant.observer.on(`$aws/events/subscriptions/subscribed/${NODE}`).length > 0,
            () => plant.red.program.transcript());
        return plant;
    }

    /** The certificate in use of a device, by its agent. */
    async inUse(thing) {
        return (await this.agents[thing].status()).certificate;
    }

    async statusOf(id) {
        return (await this.core.call('GET', `/certificates/${id}`)).certificateDescription.status;
    }

    /** What the agent of the PLC writes for it, carried there. */
    async carry(name) {
        const bundle = path.join(this.agents[PLC].directory, name);
        await this.agents[PLC].ask('export', 'codesys', '--to', bundle);
        return this.plc.brought(bundle, PLC);
    }

    /** The line that the PLC itself is to say, by the sheet of a bundle: topic and payload. */
    step8(name) {
        const lines = fs.readFileSync(path.join(this.agents[PLC].directory, name, 'STEPS.txt'), 'utf8').split('\n').map(line => line.trim());
        const at = lines.findIndex(line => line.startsWith('{"op":"retire"'));
        assert.ok(at > 0, lines.join('\n'));
        return [lines[at - 1].split(' ').at(-1), lines[at]];
    }

    /** Telemetry from both, and a command to both. */
    async works(word) {
        const said = JSON.stringify({ word });
        const [status, commands] = ['status', 'commands'].map(name => `${ROOT}/${PLC}/${name}`);
        assert.equal(await this.plc.subscribe(commands), 'subscribed');
        assert.equal(await this.plc.publish(status, said), 'published');
        await until(`the PLC's ${word}`, () => this.observer.on(status).some(found => found.word === word));
        await this.observer.client.publishAsync(commands, said, { qos: 1 });
        await this.plc.hears(commands, said);

        const telemetry = `${ROOT}/${NODE}/telemetry`;
        const before = this.observer.on(telemetry).length;
        await until('telemetry of Node-RED', () => this.observer.on(telemetry).length > before, () => this.red.program.transcript());
        this.sent = (this.sent ?? 0) + 1;
        const { sent } = this;
        await this.observer.client.publishAsync(`${ROOT}/${NODE}/commands`, JSON.stringify({ n: sent }), { qos: 1 });
        await until('a command in Node-RED', async () => (await this.state()).came.includes(sent), () => this.red.program.transcript());
    }

    async state() {
        return JSON.parse((await this.red.request('GET', '/state')).text);
    }

    /** By the broker's word. */
    connectedWith(thing, id) {
        return until(`${thing} on ${id}`, () => principalOf(this.observer, thing) === id,
            () => JSON.stringify(this.observer.on(`$aws/events/presence/connected/${thing}`)));
    }

    async stop() {
        await this.red?.stop();
        await this.plc?.stop();
        await this.observer?.stop();
        await Promise.all(Object.values(this.agents ?? {}).map(agent => agent.stop()));
        await this.core?.stop();
    }
}

test('both kinds of client pass a maintenance window under a test topic root, and the old certificates are of no use then', async () => {
    const plant = await Plant.start();
    try {
        const [oldFiles, old] = [await plant.carry('before'), {}];
        for (const thing of BOTH) {
            old[thing] = await plant.inUse(thing);
        }
        assert.equal(await plant.plc.enable(oldFiles), 'connected');
        await Promise.all(BOTH.map(thing => plant.connectedWith(thing, old[thing])));
        await plant.works('before');

        // Days before. Of two certificates of one second neither would be the older.
        const { creationDate } = (await plant.core.call('GET', `/certificates/${old[NODE]}`)).certificateDescription;
        await until('the next second', () => Date.now() > (Math.floor(creationDate) + 1) * 1000);
        const staged = {};
        for (const thing of BOTH) {
            staged[thing] = JSON.parse(await plant.agents[thing].ask('stage')).certificate;
        }
        await plant.works('staged');

        // The window: Node-RED is moved, the PLC by hand.
        for (const thing of BOTH) {
            await plant.agents[thing].ask('switch');
        }
        assert.equal(await plant.plc.enable(await plant.carry('window')), 'connected');
        await Promise.all(BOTH.map(thing => plant.connectedWith(thing, staged[thing])));
        await plant.works('after');

        // At once: the superseded ones. The PLC says so for itself, the sidecar for its client.
        await until('an agent that waits for its PLC', async () => (await plant.agents[PLC].order('retire', '--timeout', '1s')).told.includes('live = false'));
        assert.equal(await plant.plc.publish(...plant.step8('window')), 'published');
        for (const thing of BOTH) {
            await plant.agents[thing].ask('retire');
            assert.match(await plant.statusOf(old[thing]), /^(INACTIVE|REVOKED)$/);
            assert.equal(await plant.statusOf(staged[thing]), 'ACTIVE');
        }
        await plant.works('retired');

        const seen = plant.red.program.lines.filter(line => line.includes('Disconnected from broker'));
        assert.deepEqual(seen, [], 'Node-RED saw no disconnect');
        assert.deepEqual(plant.observer.on(`${ROOT}/${NODE}/will`), []);
        assert.match(await plant.plc.enable(oldFiles), /^refused/);
    } finally {
        await plant.stop();
    }
});
