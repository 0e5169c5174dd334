// Validates lines of "SCHEMA BASE64" with ajv, and answers each with two digits: 1
// where the text is JSON and of the schema, with format as the annotation that it
// is, and with ajv-formats judging it.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const usual = { strict: true, allowUnionTypes: true };
const plain = new Ajv2020({ ...usual, validateFormats: false });
const judging = addFormats(new Ajv2020(usual));
const compiled = new Map();
for (const file of process.argv.slice(2)) {
  const schema = JSON.parse(readFileSync(file, "utf8"));
  compiled.set(schema.$id, [plain.compile(schema), judging.compile(schema)]);
}

let answers = [];
for await (const line of createInterface({ input: process.stdin })) {
  const [id, text] = line.split(" ");
  let value;
  try {
    value = JSON.parse(Buffer.from(text, "base64").toString("utf8"));
  } catch {
    value = undefined;
  }
  answers.push(compiled.get(id).map((valid) => (value !== undefined && valid(value) ? 1 : 0)).join(""));
  if (answers.length === 1000) {
    console.log(answers.join("\n"));
    answers = [];
  }
}
if (answers.length > 0) console.log(answers.join("\n"));
