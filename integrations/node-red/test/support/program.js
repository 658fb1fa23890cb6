/** A child process whose output is kept line by line, and which is ended by its own id. */
'use strict';

const { spawn } = require('node:child_process');
const fs = require('node:fs');

const { until } = require('./wait');

class Program {
    lines = [];

    /** `log` is a file that gets what it prints as well, as it comes. */
    constructor(command, args, { log, ...options } = {}) {
        this.command = [command, ...args].join(' ');
        this.child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
        this.ended = new Promise(resolve => {
            this.child.on('error', error => { this.lines.push(String(error)); resolve(error); });
            // Not `exit`: what it printed may still be on its way then.
            this.child.on('close', (code, signal) => resolve(code ?? signal));
        });
        this.ended.then(code => { this.code = code; });
        for (const stream of [this.child.stdout, this.child.stderr]) {
            let rest = '';
            stream.setEncoding('utf8').on('data', data => {
                if (log) {
                    fs.appendFileSync(log, data);
                }
                const lines = (rest + data).split('\n');
                rest = lines.pop();
                this.lines.push(...lines);
            });
        }
    }

    /** The first line that `wanted` takes, after the first `after` lines. */
    line(what, wanted, after = 0) {
        return until(what, () => {
            const line = this.lines.slice(after).find(wanted);
            if (line === undefined && this.code !== undefined) {
                throw new Error(`ended (${this.code}) before ${what}\n${this.transcript()}`);
            }
            return line;
        }, () => this.transcript());
    }

    /** Asks it to end; its exit code. */
    async stop(signal = 'SIGINT') {
        if (this.code === undefined) {
            this.child.kill(signal);
        }
        return this.ended;
    }

    transcript() {
        return [`$ ${this.command}`, ...this.lines.slice(-60)].join('\n');
    }
}

/** `self`, once `run` is through; stopped if that fails: what is left running would keep the tests from ever ending. */
async function started(self, run) {
    try {
        await run();
        return self;
    } catch (error) {
        await self.stop();
        throw error;
    }
}

module.exports = { Program, started };
