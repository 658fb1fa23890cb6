/** An agent's state directory as others see it: generations of files and one link, swung by rename. */
'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

class Export {
    #generation = 0;

    constructor() {
        this.state = fs.mkdtempSync(path.join(os.tmpdir(), 'fleetkey-node-red-state-'));
        this.certificate = path.join(this.state, 'export', 'device.cert.pem');
        this.key = path.join(this.state, 'export', 'device.key.pem');
    }

    /** Fills a new directory and swings the link to it, as `crates/agent/src/store/export.rs` does. */
    swing({ cert, key }) {
        this.#generation += 1;
        const name = `export.${this.#generation}`;
        const directory = path.join(this.state, name);
        fs.mkdirSync(directory, { mode: 0o700 });
        fs.writeFileSync(path.join(directory, 'device.key.pem'), key, { mode: 0o600 });
        fs.writeFileSync(path.join(directory, 'device.cert.pem'), cert);
        fs.writeFileSync(path.join(directory, 'bundle.pem'), key + cert, { mode: 0o600 });
        const link = path.join(this.state, 'export');
        fs.symlinkSync(name, `${link}.new`);
        fs.renameSync(`${link}.new`, link);
        for (const old of fs.readdirSync(this.state).filter(entry => entry.startsWith('export.') && entry !== name)) {
            fs.rmSync(path.join(this.state, old), { recursive: true });
        }
    }

    remove() {
        fs.rmSync(this.state, { recursive: true, force: true });
    }
}

module.exports = { Export };
