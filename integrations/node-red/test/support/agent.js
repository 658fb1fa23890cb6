/** A real `fleetkey-agent` with a sidecar on a port of its own, provisioned by the claim of a local IoT Core. */
'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { BINARY } = require('./core');
const { Program, started } = require('./program');
const { until } = require('./wait');

const AGENT = path.join(path.dirname(BINARY), 'fleetkey-agent');
/** The shipped templates that `--setup` makes. */
const TEMPLATES = { claim: 'CertRotationTemplate', rotation: 'CertRotationTemplate-rotate' };

class Agent {
    #told = [];
    #read = 0;

    /**
     * Starts it, and waits until it has an identity.
     *
     * @param {Core} core one with `--setup`
     * @param {string} serial
     * @param {{port?: number, sidecar?: ?string, more?: string}} [options] `port` is another way to the broker; `sidecar`
     *     and `more` are TOML, for the table `[sidecar]`, which there is none of if it is null, and for further tables
     */
    static async start(core, serial, { port = core.ready.mqtt_port, sidecar = '', more = '' } = {}) {
        const agent = new Agent();
        agent.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'fleetkey-node-red-agent-'));
        agent.file = path.join(agent.directory, 'agent.toml');
        agent.settings = listen => toml(core, { serial, port, listen, sidecar, more });
        return started(agent, () => agent.run(0));
    }

    /** Starts it once more, where it listened before. */
    async again() {
        await this.run(this.port);
    }

    async run(port) {
        fs.writeFileSync(this.file, this.settings(port));
        [this.#told, this.#read] = [[], 0];
        this.program = new Program(AGENT, ['run', '--config', this.file, '--log-format', 'json']);
        await this.event('a connection of its own', ({ event }) => event === 'link_up');
        const { sidecar } = await this.status();
        this.port = sidecar && Number(sidecar.listen[0].split(':').at(-1));
    }

    async status() {
        return JSON.parse(await this.ask('status')).status;
    }

    /** Orders a rotation. */
    rotate() {
        return this.ask('rotate');
    }

    /** What it has told since it was started. */
    events() {
        for (; this.#read < this.program.lines.length; this.#read += 1) {
            const event = told(this.program.lines[this.#read]);
            if (event) {
                this.#told.push(event);
            }
        }
        return this.#told;
    }

    /** What its sidecar has told of this kind. */
    sidecar(what) {
        return this.events().filter(told => told.event === 'sidecar' && told.what === what);
    }

    /** Waits for the event that is the `number`th like it. */
    event(what, wanted, number = 1) {
        return until(what, () => {
            const found = this.events().filter(wanted)[number - 1];
            if (!found && this.program.code !== undefined) {
                throw new Error(`the agent ended (${this.program.code}) before ${what}\n${this.program.transcript()}`);
            }
            return found;
        }, () => this.program.transcript());
    }

    /** As a power cut ends it. */
    kill() {
        return this.program.stop('SIGKILL');
    }

    async stop() {
        await this.program?.stop();
        fs.rmSync(this.directory, { recursive: true, force: true });
    }

    /** The same for a command that may fail: its exit code, and what it printed. */
    async order(...words) {
        const program = new Program(AGENT, [...words, '--config', this.file]);
        const code = await program.ended;
        return { code, told: program.transcript() };
    }

    async ask(...words) {
        const program = new Program(AGENT, [...words, '--config', this.file]);
        if (await program.ended !== 0) {
            throw new Error(`${program.transcript()}\n${this.program.transcript()}`);
        }
        return program.lines.join('\n');
    }
}

/** The event in a line of its log, if it is one. */
function told(line) {
    const start = line.indexOf('"message":"{');
    return start < 0 ? undefined : JSON.parse(JSON.parse(line).fields.message);
}

function toml(core, { serial, port, listen, sidecar, more }) {
    const operator = path.join(core.directory, 'data/operator');
    const claim = path.join(operator, 'claim');
    const { topic_root: root } = JSON.parse(fs.readFileSync(path.join(operator, 'config.json'), 'utf8'));
    return `serial = "${serial}"
state = "state"
topic_root = "${root}"
[endpoint]
host = "${core.ready.endpoint}"
port = ${port}
roots = ["${core.rootCa}"]
[templates]
claim = "${TEMPLATES.claim}"
rotation = "${TEMPLATES.rotation}"
[claim]
certificate = "${claim}/certificate.pem"
key = "${claim}/key.pem"
[rotation]
soak = "1s"
${sidecar === null ? '' : `[sidecar]
${sidecar}
[[sidecar.listen]]
tcp = "127.0.0.1:${listen}"`}
${more}
`;
}

module.exports = { Agent };
