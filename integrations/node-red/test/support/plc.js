/** The client of the stand-in for a PLC (`conformance/codesys/client.c`): Paho C with files, switched as `xEnable` would. */
'use strict';

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { Program } = require('./program');

const SOURCE = path.resolve(__dirname, '../../../../conformance/codesys/client.c');

class Plc {
    #answers = 0;

    /** Compiled against Debian's libpaho-mqtt-dev, and not yet connected. */
    static start(core, thing) {
        const plc = new Plc();
        plc.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'fleetkey-plc-'));
        const client = path.join(plc.directory, 'client');
        execFileSync('cc', ['-std=gnu11', '-o', client, SOURCE, '-lpaho-mqtt3cs']);
        plc.program = new Program(client, [`ssl://${core.ready.endpoint}:${core.ready.mqtt_port}`, thing], { stdio: 'pipe' });
        return plc;
    }

    /** A bundle of `export codesys` brought here: what is Trusted, and the pair that Own takes; the files of it. */
    brought(bundle, thing) {
        const file = name => path.join(this.directory, `${path.basename(bundle)}-${name}`);
        const [trusted, own, key] = ['trusted.pem', 'own.pem', 'own.key'].map(file);
        const roots = fs.readdirSync(bundle).filter(name => /^root-\d+\.der$/.test(name));
        fs.writeFileSync(trusted, roots.map(name =>
            execFileSync('openssl', ['x509', '-inform', 'DER', '-in', path.join(bundle, name)], { encoding: 'utf8' })).join(''));
        const pair = ['pkcs12', '-in', path.join(bundle, `${thing}.p12`), '-passin', `file:${bundle}.passphrase`];
        execFileSync('openssl', [...pair, '-nokeys', '-out', own]);
        execFileSync('openssl', [...pair, '-nocerts', '-nodes', '-out', key]);
        return [trusted, own, key];
    }

    /** `xEnable` FALSE, then TRUE: "connected", or why not. */
    async enable(files) {
        await this.order('disconnect', ['disconnected']);
        return this.order(`connect ${files.join(' ')}`, ['connected', 'refused']);
    }

    subscribe(topic) {
        return this.order(`subscribe ${topic}`, ['subscribed', 'denied']);
    }

    /** A payload has no spaces here. */
    publish(topic, payload) {
        return this.order(`publish ${topic} ${payload}`, ['published', 'unacknowledged']);
    }

    /** Waits for this message. */
    hears(topic, payload) {
        return this.program.line(`a message on ${topic}`, line => line === `message ${topic} ${payload}`);
    }

    async stop() {
        await this.program.stop();
        fs.rmSync(this.directory, { recursive: true, force: true });
    }

    async order(order, answers) {
        const from = this.#answers;
        this.program.child.stdin.write(`${order}\n`);
        const answer = await this.program.line(`an answer to ${order}`, line => answers.includes(line.split(' ')[0]), from);
        this.#answers = this.program.lines.indexOf(answer, from) + 1;
        return answer;
    }
}

module.exports = { Plc };
