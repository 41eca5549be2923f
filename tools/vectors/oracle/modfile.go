package main

import (
	"golang.org/x/mod/modfile"
)

func init() {
	register(map[string]op{
		"modfile.lax":    modfileLax,
		"modfile.module": modfileModule,
	})
}

// modfileLax: go.mod → module path, go version, deprecation (the first two after "+" if
// there is one), then low, high and rationale of each retraction.
func modfileLax(args []string) ([]string, error) {
	need(args, 1)
	f, err := modfile.ParseLax("go.mod", []byte(args[0]), nil)
	if err != nil {
		return nil, err
	}
	out := []string{"", "", ""}
	if f.Module != nil {
		out[0], out[2] = "+"+f.Module.Mod.Path, f.Module.Deprecated
	}
	if f.Go != nil {
		out[1] = "+" + f.Go.Version
	}
	for _, r := range f.Retract {
		out = append(out, r.Low, r.High, r.Rationale)
	}
	return out, nil
}

// modfileModule: go.mod → module path by the quick reading, empty if there is none.
func modfileModule(args []string) ([]string, error) {
	need(args, 1)
	return []string{modfile.ModulePath([]byte(args[0]))}, nil
}
