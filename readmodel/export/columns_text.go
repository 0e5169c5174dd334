package export

import (
	"bytes"
	"encoding/hex"
	"strconv"
)

// unescape is a bytea from its text, as either bytea_output has it: hex begins
// with \x, which the escape form never has in it.
func (c *columns) unescape(i int, v []byte) []byte {
	if digits, ok := bytes.CutPrefix(v, []byte(`\x`)); ok {
		b := make([]byte, hex.DecodedLen(len(digits)))
		if _, err := hex.Decode(b, digits); err != nil {
			c.fail(i)
		}
		return b
	}
	b := make([]byte, 0, len(v))
	for len(v) > 0 {
		plain := bytes.IndexByte(v, '\\')
		if plain < 0 {
			return append(b, v...)
		}
		b, v = append(b, v[:plain]...), v[plain+1:]
		if len(v) > 0 && v[0] == '\\' {
			b, v = append(b, '\\'), v[1:]
			continue
		}
		octal, err := strconv.ParseUint(string(v[:min(3, len(v))]), 8, 8)
		if err != nil || len(v) < 3 {
			c.fail(i)
			return nil
		}
		b, v = append(b, byte(octal)), v[3:]
	}
	return b
}

// textArray is an array of bytea from its text. Elements are quoted where they have to
// be, and what is not quoted has no backslash.
func (c *columns) textArray(i int, v []byte) (all [][]byte) {
	if len(v) < 2 || v[0] != '{' || v[len(v)-1] != '}' {
		c.fail(i)
		return nil
	}
	for v = v[1:]; len(v) > 1; v = v[1:] { // skips the comma, or the brace at the end
		var element []byte
		if v[0] != '"' {
			end := bytes.IndexAny(v, ",}")
			if element = v[:end]; end == 0 || string(element) == "NULL" {
				c.fail(i)
				return nil
			}
			v = v[end:]
		} else {
			for v = v[1:]; len(v) > 1 && v[0] != '"'; {
				plain := bytes.IndexAny(v, `\"`)
				if plain < 0 {
					break
				}
				element, v = append(element, v[:plain]...), v[plain:]
				if v[0] == '\\' && len(v) > 2 {
					element, v = append(element, v[1]), v[2:]
				} else if v[0] == '\\' {
					break
				}
			}
			if len(v) < 2 || v[0] != '"' {
				c.fail(i)
				return nil
			}
			v = v[1:]
		}
		if v[0] != ',' && len(v) > 1 || v[0] == ',' && len(v) < 3 {
			c.fail(i)
			return nil
		}
		all = append(all, c.unescape(i, element))
	}
	return all
}
