/** A Node-RED of its own: a user directory that is thrown away, loopback, a free port, the Admin API closed unless asked for. */
'use strict';

const { randomBytes } = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

const { Program, started } = require('./program');
const { until } = require('./wait');

const PACKAGE = path.resolve(__dirname, '../..');
/** Another Node-RED than the locked one, for a run by hand. */
const RED = process.env.FLEETKEY_NODE_RED ?? require.resolve('node-red/red.js');

class NodeRed {
    /**
     * @param {object[]} flows
     * @param {{plugin?: boolean, settings?: string, environment?: object, log?: string}} [options] `settings` is JavaScript, inside
     *     `module.exports = {…}`; `log` is a file for what it logs
     */
    static async start(flows, { plugin = true, settings = 'httpAdminRoot: false,', environment = {}, log } = {}) {
        const red = new NodeRed();
        red.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'fleetkey-node-red-user-'));
        red.port = await freePort();
        red.reportFile = path.join(red.directory, 'fleetkey-connections.json');
        fs.writeFileSync(path.join(red.directory, 'flows.json'), JSON.stringify(flows));
        fs.writeFileSync(path.join(red.directory, 'settings.js'), `module.exports = {
            flowFile: 'flows.json', uiHost: '127.0.0.1', uiPort: ${red.port}, credentialSecret: '${randomBytes(16).toString('hex')}',
            httpStatic: [], mqttReconnectTime: 1500, editorTheme: { tours: false }, telemetry: { enabled: false, updateNotification: false },
            ${settings}
        };`);
        if (plugin) {
            install(red.directory);
        }
        Object.assign(red, { environment, log });
        return started(red, () => red.run());
    }

    async run() {
        this.program = new Program(process.execPath, [RED, '-u', this.directory, '-s', path.join(this.directory, 'settings.js')],
            { cwd: this.directory, env: { ...process.env, ...this.environment }, log: this.log });
        await this.program.line('the flows', line => line.includes('Started flows'));
    }

    async stop() {
        const code = await this.program?.stop();
        fs.rmSync(this.directory, { recursive: true, force: true });
        return code;
    }

    /** A request to this Node-RED: status and body. */
    request(method, target, { body, headers = {} } = {}) {
        return new Promise((resolve, reject) => {
            const request = http.request({ host: '127.0.0.1', port: this.port, path: target, method, headers }, response => {
                let text = '';
                response.setEncoding('utf8').on('data', data => { text += data; })
                    .on('end', () => resolve({ status: response.statusCode, text }));
            });
            request.on('error', reject);
            request.end(body);
        });
    }

    report() {
        try {
            return JSON.parse(fs.readFileSync(this.reportFile, 'utf8'));
        } catch {
            return undefined;
        }
    }

    connection() {
        return this.report()?.connections[0];
    }

    /** Waits until the plugin reports this. */
    reports(what, condition) {
        return until(what, () => {
            const report = this.report();
            return report && condition(report) && report;
        }, () => `${JSON.stringify(this.report(), null, 2)}\n${this.program.transcript()}`);
    }

    /** Waits until the plugin reports the connection on this certificate. */
    on(identity) {
        return this.reports(`a connection on ${identity.id}`,
            ({ connections }) => connections[0]?.connected && connections[0].certificate_id === identity.id);
    }
}

/** What npm would install, from the package's own list of files. */
function install(userDir) {
    const description = JSON.parse(fs.readFileSync(path.join(PACKAGE, 'package.json'), 'utf8'));
    const target = path.join(userDir, 'node_modules', description.name);
    for (const file of ['package.json', ...description.files]) {
        fs.cpSync(path.join(PACKAGE, file), path.join(target, file), { recursive: true });
    }
    fs.writeFileSync(path.join(userDir, 'package.json'),
        JSON.stringify({ name: 'user', private: true, dependencies: { [description.name]: description.version } }));
}

/** Node-RED takes port 0 for "not set", so one is chosen for it. */
function freePort() {
    return new Promise((resolve, reject) => {
        const server = net.createServer();
        server.on('error', reject);
        server.listen(0, '127.0.0.1', () => {
            const { port } = server.address();
            server.close(() => resolve(port));
        });
    });
}

module.exports = { NodeRed, PACKAGE };
