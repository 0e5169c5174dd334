package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"strconv"
)

// evaluate computes a formula: numbers, + - * /, parentheses, ceil, max and min, the names
// of what is given or was computed before, and figures as texts.
func evaluate(formula string, given map[string]float64, figure func(name string) (float64, error)) (float64, error) {
	e, err := parser.ParseExpr(formula)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", formula, err)
	}
	v, err := value(e, given, figure)
	if err == nil && (math.IsInf(v, 0) || math.IsNaN(v)) {
		err = fmt.Errorf("it is %v", v)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", formula, err)
	}
	return v, nil
}

func value(e ast.Expr, given map[string]float64, figure func(string) (float64, error)) (float64, error) {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return value(e.X, given, figure)
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return strconv.ParseFloat(e.Value, 64)
		}
		name, err := strconv.Unquote(e.Value)
		if err != nil {
			return 0, err
		}
		return figure(name)
	case *ast.Ident:
		if v, ok := given[e.Name]; ok {
			return v, nil
		}
		return 0, fmt.Errorf("nothing is called %s", e.Name)
	case *ast.BinaryExpr:
		x, err := value(e.X, given, figure)
		if err != nil {
			return 0, err
		}
		y, err := value(e.Y, given, figure)
		if err != nil {
			return 0, err
		}
		switch e.Op {
		case token.ADD:
			return x + y, nil
		case token.SUB:
			return x - y, nil
		case token.MUL:
			return x * y, nil
		case token.QUO:
			return x / y, nil
		}
	case *ast.CallExpr:
		name, ok := e.Fun.(*ast.Ident)
		if !ok {
			break
		}
		var args []float64
		for _, a := range e.Args {
			v, err := value(a, given, figure)
			if err != nil {
				return 0, err
			}
			args = append(args, v)
		}
		switch {
		case name.Name == "ceil" && len(args) == 1:
			return math.Ceil(args[0]), nil
		case name.Name == "max" && len(args) == 2:
			return max(args[0], args[1]), nil
		case name.Name == "min" && len(args) == 2:
			return min(args[0], args[1]), nil
		}
	}
	return 0, fmt.Errorf("a formula has numbers, + - * /, ceil, max and min, names, and figures as texts")
}
