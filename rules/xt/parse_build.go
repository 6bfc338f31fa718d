package xt

import (
	"cmp"
	"errors"

	"github.com/ntdiag/ntdiag/rules"
)

// build makes the rule of what was read: the statements of legacyDecoder.rule,
// and a text in place of each blob.
func (r *ruleText) build(c *rules.Chain) *rules.Rule {
	out := &rules.Rule{Chain: c}
	out.Raw = make([]rules.RawExpr, 0, 2+len(r.matches))
	r.ctx.Span = rules.Span{0}
	out.Statements = r.header(out)
	for i, m := range r.matches {
		r.ctx.Span = rules.Span{i + 1}
		s, text := r.extension(m, "-m")
		out.Raw = append(out.Raw, rules.RawExpr{Name: RawMatch, Text: text})
		out.Statements = append(out.Statements, s...)
	}
	if r.counted != nil {
		n := *r.counted
		n.Span = rules.Span{0}
		out.Statements = append(out.Statements, &n)
	}
	r.ctx.Span = rules.Span{len(r.matches) + 1}
	s, text := r.verdict(c)
	out.Raw = append(out.Raw, rules.RawExpr{Name: RawTarget, Text: text})
	out.Statements = append(out.Statements, s...)
	out.Comment = rules.CommentIn(out.Statements)
	return out
}

// header is what the entry itself asks for.
func (r *ruleText) header(out *rules.Rule) []rules.Statement {
	var words Options
	for _, w := range r.head.text {
		words.Word(w)
	}
	text := words.String()
	s := r.layout.header(r.ctx, r.head.blob)
	if r.head.err != nil {
		r.problem("%v", r.head.err)
		if text == "" {
			text = "[ ? ]"
		}
		s = []rules.Statement{&rules.Opaque{Span: r.ctx.Span, Name: "rule", Why: r.head.err.Error()}}
	} else if printed, ok := nativeText(r.ctx, s); ok {
		text = printed
	}
	out.Raw = append(out.Raw, rules.RawExpr{Name: RawEntry, Text: text})
	return s
}

// nativeText prints what an entry asks for in the tool's order.
func nativeText(c *Context, list []rules.Statement) (string, bool) {
	l := &line{ctx: &Context{Order: c.Order, Family: c.Family}}
	for _, s := range list {
		if !l.native(s) {
			return "", false
		}
	}
	return l.head(), true
}

// extension is a match, or a target, by its row.
func (r *ruleText) extension(e *extension, option string) ([]rules.Statement, string) {
	table := map[string][]textRow{"-m": matchTexts, "-j": targetTexts}[option]
	kind := map[string]string{"-m": "match ", "-j": "target "}[option]
	var why error
	switch {
	case e.name == "":
		kind, why = "words", cmp.Or(e.given.err, errors.New("an extension without a name"))
	case e.row == nil && knownText(table, e.name):
		why = errors.New("it is not one of " + r.Family.String())
	case e.row == nil:
		why = errors.New("xtables extension is not known")
	default:
		e.given.text = joinWords(e.words)
		x := e.row.build(r.ctx, &e.given)
		if why = e.given.err; why == nil {
			var o Options
			o.Word(option, alias(x, e.row.name))
			x.Save(r.ctx, &o)
			return orRemark(r.ctx, &Blob{Name: e.row.name}, x.Statements(r.ctx)), o.String()
		}
	}
	text := joinWords(e.words)
	if e.name != "" {
		var o Options
		o.Word(option, quoteChain(e.name))
		if text != "" {
			o.Word(text)
		}
		text = o.String()
	}
	if text == "" {
		text = "[ ? ]"
	}
	r.problem("%s%s: %v", kind, e.name, why)
	opaque := &rules.Opaque{Span: r.ctx.Span, Name: kind + e.name, Why: why.Error()}
	if option == "-j" {
		opaque.MayEnd, opaque.MayNAT = true, natTargets[e.name] || e.row == nil && r.where == "nat"
	}
	return []rules.Statement{opaque}, text
}

// verdict is the rule's target: that of legacyDecoder.targetOf.
func (r *ruleText) verdict(c *rules.Chain) ([]rules.Statement, string) {
	v := &rules.Verdict{Span: r.ctx.Span, Code: rules.VerdictContinue}
	switch {
	case r.target != nil:
		return r.extension(r.target, "-j")
	case r.jump == "":
		return []rules.Statement{v}, ""
	case stdVerdicts[r.jump] != 0 && !r.isGoto:
		v.Code = stdCodes[stdVerdicts[r.jump]]
		return []rules.Statement{v}, "-j " + r.jump
	case !r.isChain(r.jump):
		r.problem("chain %q of table %s is not in this text", r.jump, c.Table.Name)
		return []rules.Statement{&rules.Opaque{
			Span: v.Span, Name: "target", Why: "chain " + r.jump + " is not in this text", MayEnd: true, MayNAT: c.Table.Name == "nat",
		}}, "-g " + r.jump
	}
	v.Code, v.ChainName = rules.VerdictJump, r.jump
	option := "-j "
	if r.isGoto {
		v.Code, option = rules.VerdictGoto, "-g "
	}
	return []rules.Statement{v}, option + quoteChain(r.jump)
}

// findText finds an extension by the name that a rule gives it.
func findText(table []textRow, f rules.Family, name string) *textRow {
	for i := range table {
		if t := &table[i]; t.name == name && (t.family == rules.FamilyUnspec || t.family == f) {
			return t
		}
	}
	return nil
}

func knownText(table []textRow, name string) bool {
	for i := range table {
		if table[i].name == name {
			return true
		}
	}
	return false
}
