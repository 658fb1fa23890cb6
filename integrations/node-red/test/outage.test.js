/** The broker is out of reach for longer than a patient and an impatient sidecar bear; and more is said than AWS takes. */
'use strict';

const assert = require('node:assert/strict');
const net = require('node:net');
const { test } = require('node:test');

const { Agent } = require('./support/agent');
const { Core } = require('./support/core');
const { gaps, runs, tally } = require('./support/flows');
const { held } = require('./support/held');
const { Ear, Speaker, local } = require('./support/local');
const { Pipe } = require('./support/pipe');
const { until } = require('./support/wait');

/** Milliseconds that the broker is away at least; in any case until the impatient sidecar has closed its client. */
const AWAY = Number(process.env.FLEETKEY_AWAY_SECONDS ?? 0) * 1000;
/** Messages a second of each QoS, either way. */
const RATE = 25;
/** How the agents go on trying: AWS's quotas are lifted, so that what has waited passes at once. */
const TRYING = { more: '[session]\nreconnect_cap = "2s"' };
const PATIENT = 'messages_per_second = 0\nmax_hold = "10m"';
const IMPATIENT = 'messages_per_second = 0';

/** A device behind `pipe` with a local client, which says and hears at QoS 0 and 1. */
class Device {
    static async start(core, pipe, thing, sidecar, client) {
        const device = new Device();
        Object.assign(device, { thing, topics: {} });
        const topic = leaf => `device/${thing}/${leaf}`;
        try {
            device.agent = await Agent.start(core, thing, { port: pipe.port, sidecar, ...TRYING });
            device.operator = await core.observer(`operates-${thing}`, [topic('telemetry/#')]);
            device.up = new Ear(device.operator.client);
            device.client = await local(device.agent.port, { ...client, will: topic('will') });
            device.down = new Ear(device.client);
            await device.client.subscribeAsync([topic('commands/0'), topic('commands/1')], { qos: 1 });
            device.ways = [0, 1].flatMap(qos => [
                { name: `up at QoS ${qos}`, qos, up: true, heard: device.up.on(topic(`telemetry/${qos}`)),
                    speaker: new Speaker(device.client, topic(`telemetry/${qos}`), { qos, rate: RATE }) },
                { name: `down at QoS ${qos}`, qos, up: false, heard: device.down.on(topic(`commands/${qos}`)),
                    speaker: new Speaker(device.operator.client, topic(`commands/${qos}`), { qos, rate: RATE }) },
            ]);
            return device;
        } catch (error) {
            await device.stop();
            throw error;
        }
    }

    sidecar(what, number = 1) {
        return this.agent.event(`sidecar: ${what}`, told => told.event === 'sidecar' && told.what === what, number);
    }

    async passes() {
        const wanted = this.ways.map(({ heard }) => heard.length + 10);
        await until('messages either way', () => this.ways.every(({ heard }, i) => heard.length >= wanted[i]), () => this.agent.program.transcript());
    }

    /** Ends the traffic and waits for the last of it; what came of each way. */
    async end() {
        const said = this.ways.map(({ speaker }) => speaker.end());
        await until('the last of each way', () => this.ways.every(({ heard }, i) => heard.includes(said[i])), () => this.agent.program.transcript());
        return this.ways.map(({ heard, ...way }, i) => ({ ...way, heard, ...tally(heard, said[i]) }));
    }

    async stop() {
        this.ways?.forEach(({ speaker }) => speaker.stop());
        this.client?.end(true);
        await this.operator?.stop();
        await this.agent?.stop();
    }
}

function tell(context, who, ways) {
    for (const { name, last, lost, again } of ways) {
        context.diagnostic(`${who}, ${name}: ${last} sent, ${lost.length} lost${lost.length ? ` in gaps of ${runs(lost).join(', ')}` : ''}, ${again} again`);
    }
}

function checkQuality1(ways) {
    for (const { name, lost } of ways.filter(({ qos }) => qos === 1)) {
        assert.deepEqual(lost, [], name);
    }
}

test('while the broker is out of reach a client is held, or told, and loses of QoS 1 nothing either way', async context => {
    const core = await Core.start('--setup', '--messages-per-second', '0');
    const devices = [];
    let pipe;
    try {
        pipe = await Pipe.start(() => net.connect(core.ready.mqtt_port, '127.0.0.1'));
        const patient = await Device.start(core, pipe, 'pump-held', PATIENT, { protocolVersion: 5, clean: false });
        devices.push(patient);
        const impatient = await Device.start(core, pipe, 'pump-told', IMPATIENT, { protocolVersion: 4, clean: false, reconnectPeriod: 500 });
        devices.push(impatient);
        await Promise.all(devices.map(device => device.passes()));
        const since = performance.now();
        pipe.frozen = true;
        pipe.cut();
        await Promise.all(devices.map(device => device.sidecar('lost')));
        await patient.sidecar('not_connected');
        await impatient.sidecar('ended');
        await until('the end of the outage', () => performance.now() - since >= AWAY, () => '', AWAY + 60_000);
        pipe.thaw();

        const { held_ms } = await patient.sidecar('recovered');
        const kept = await patient.end();
        const { sidecar } = await patient.agent.status();
        tell(context, 'held', kept);
        context.diagnostic(`held for ${held_ms} ms; ${sidecar.dropped} of QoS 0 dropped`);
        assert.equal(patient.client.closes, 0, 'it has stayed connected');
        checkQuality1(kept);
        const [up, down] = [true, false].map(way => kept.find(({ up, qos }) => up === way && qos === 0));
        assert.ok(up.lost.length <= sidecar.dropped, 'upward only what was counted is lost');
        assert.equal(gaps(down.lost), 1, 'downward one gap');

        await impatient.sidecar('serving', 2);
        const told = await impatient.end();
        tell(context, 'told', told);
        assert.ok(impatient.client.closes >= 1);
        checkQuality1(told);
    } finally {
        await Promise.all(devices.map(device => device.stop()));
        await pipe?.stop();
        await core.stop();
    }
});

for (const protocolVersion of [4, 5]) {
    test(`a client of MQTT ${protocolVersion === 5 ? '5' : '3.1.1'} that is held and connects again meanwhile loses of QoS 1 nothing either way`, async context => {
        const core = await Core.start('--setup', '--messages-per-second', '0');
        let device, pipe;
        try {
            pipe = await Pipe.start(() => net.connect(core.ready.mqtt_port, '127.0.0.1'));
            device = await Device.start(core, pipe, 'pump-back', PATIENT, { protocolVersion, clean: false, reconnectPeriod: 100 });
            const { agent, client } = device;
            await device.passes();
            pipe.freezeWhenTheBusiestEnds();
            await agent.rotate();
            await until('the hold', () => pipe.frozen, () => agent.program.transcript());
            const { held, waiting_up: waited } = await until('messages that wait', async () => {
                const { sidecar } = await agent.status();
                return sidecar.waiting_up >= 20 && sidecar;
            });
            assert.ok(held && client.closes === 0, 'it is held, and does not know');
            let connects = 0;
            client.on('packetsend', ({ cmd }) => { connects += cmd === 'connect' ? 1 : 0; });
            client.stream.destroy();
            await until('a CONNECT of the same client', () => connects > 0);
            pipe.thaw();
            await until('a connection', () => client.connected, () => agent.program.transcript());
            await device.passes();
            const ways = await device.end();
            tell(context, `${waited} waited`, ways);
            checkQuality1(ways);
            const { sidecar, certificate } = await agent.status();
            assert.equal(sidecar.certificate, certificate);
        } finally {
            await device?.stop();
            await pipe?.stop();
            await core.stop();
        }
    });
}

test('what a client says beyond AWS\'s hundred a second waits, and a rotation in between loses nothing', async context => {
    const core = await Core.start('--setup', '--grace', '1s');
    let device, pipe;
    try {
        pipe = await Pipe.start(() => net.connect(core.ready.mqtt_port, '127.0.0.1'));
        device = await Device.start(core, pipe, 'pump-loud', 'drain = "30s"\nmax_hold = "2m"', { protocolVersion: 4, clean: false });
        device.ways.forEach(({ speaker }) => speaker.stop());
        const [topic, numbers] = ['device/pump-loud/telemetry/loud', Array.from({ length: 600 }, (_, i) => i + 1)];
        const heard = device.up.on(topic);
        const answered = Promise.all(numbers.map(n => device.client.publishAsync(topic, String(n), { qos: 1 })));
        await until('some of them', () => heard.length >= 100, () => device.agent.program.transcript());
        await device.agent.rotate();
        await device.sidecar('moved');
        await answered;
        await until('all of them', () => heard.length >= numbers.length, () => device.agent.program.transcript());
        const { lost, again } = tally(heard, numbers.length);
        const [{ repeated, held_ms }] = device.agent.sidecar('moved');
        context.diagnostic(`600 at once: ${lost.length} lost, ${again} again, ${repeated} sent again; ${held([{ held_ms }])}`);
        assert.deepEqual(lost, []);
        assert.equal(device.client.closes, 0);
        if (repeated === 0) {
            assert.deepEqual(heard, numbers, 'in order, none twice');
        }
    } finally {
        await device?.stop();
        await pipe?.stop();
        await core.stop();
    }
});
