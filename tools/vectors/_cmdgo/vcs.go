package vcs

import (
	"errors"
	"strings"
	"sync"

	"cmd/go/internal/cfg"
	"cmd/go/internal/str"
)

// This file is built as part of the go command's package vcs: see ../build-cmdgo.

// OracleGovcs says whether the go command would use a version control system.
func OracleGovcs(value, private, root, name string) error {
	cfg.GOPRIVATE = private
	rules, err := parseGOVCS(value)
	govcs, govcsErr = append(rules, defaultGOVCS...), err
	govcsOnce = sync.Once{}
	govcsOnce.Do(func() {})
	cmd := vcsByCmd(name)
	if name == "mod" {
		cmd = vcsMod
	}
	if cmd == nil {
		return errors.New("unknown vcs")
	}
	if err != nil {
		return err
	}
	return checkGOVCS(cmd, root)
}

// OracleImports says which go-import tags the go command sees on a page.
func OracleImports(page string) ([]string, error) {
	list, err := parseMetaGoImports(strings.NewReader(page), PreferMod)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, tag := range list {
		out = append(out, tag.Prefix, tag.VCS, tag.RepoRoot, tag.SubDir)
	}
	return out, nil
}

// OracleRoot says what the go command knows of a path without asking its host: root, system, repository without
// its scheme. It tries no schemes.
func OracleRoot(path string) ([]string, error) {
	for _, srv := range vcsPaths {
		if !str.HasPathPrefix(path, srv.pathPrefix) {
			continue
		}
		m := srv.regexp.FindStringSubmatch(path)
		if m == nil {
			if srv.pathPrefix != "" {
				return nil, errors.New("invalid path")
			}
			continue
		}
		match := map[string]string{"prefix": srv.pathPrefix + "/"}
		for i, name := range srv.regexp.SubexpNames() {
			if name != "" {
				match[name] = m[i]
			}
		}
		if srv.vcs != "" {
			match["vcs"] = srv.vcs
		}
		if srv.repo != "" {
			match["repo"] = expand(match, srv.repo)
		}
		if srv.check != nil {
			if err := srv.check(match); err != nil {
				return nil, err
			}
		}
		return []string{match["root"], match["vcs"], strings.TrimPrefix(match["repo"], "https://")}, nil
	}
	return []string{"unknown"}, nil
}
